/// The option --guidance of commands that sample.
#ifndef NM_TOOLS_GUIDANCE_OPTION_H
#define NM_TOOLS_GUIDANCE_OPTION_H

#include "nexus/guidance.h"

#define NM_GUIDANCE_HELP                                                                                               \
    "behaviour guidance: none, or strengths such as overlap=1,road=1,smooth=1,consistent=1 (default overlap=1)"

/// "none", or strengths as in "overlap=1,road=0.5,smooth=1,consistent=1". NM_E_ARGUMENT.
nm_status nm_guidance_option(const char *text, nm_guidance_config *config, nm_error *error);

#endif
