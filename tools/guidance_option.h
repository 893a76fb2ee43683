/// The option --guidance of commands that sample.
#ifndef NM_TOOLS_GUIDANCE_OPTION_H
#define NM_TOOLS_GUIDANCE_OPTION_H

#include "nexus/guidance.h"

#define NM_GUIDANCE_DEFAULT "overlap=1,road=0.5,smooth=0.3,iterations=15" ///< nm_future_guidance_default
#define NM_GUIDANCE_HELP                                                                                               \
    "behaviour guidance: none, or strengths from 0 to 1 of overlap, road, smooth, consistent, and margin (m) and "     \
    "iterations; ahead=N: noise more than N half seconds ahead of what is being denoised is left alone "               \
    "(default " NM_GUIDANCE_DEFAULT ")"

/// "none", or strengths as in "overlap=1,road=0.5,iterations=15,ahead=1". NM_E_ARGUMENT.
nm_status nm_guidance_option(const char *text, nm_guidance_config *config, nm_error *error);

#endif
