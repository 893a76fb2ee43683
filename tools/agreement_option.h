/// The option --agree of commands that sample.
#ifndef NM_TOOLS_AGREEMENT_OPTION_H
#define NM_TOOLS_AGREEMENT_OPTION_H

#include "nexus/agreement.h"
#include "scenarios/future_proposal.h"

#define NM_AGREEMENT_HELP                                                                                              \
    "finish states early on which the model and a driver model agree: none (default), or as in m=0.5,mps=0.5: so "     \
    "many "                                                                                                            \
    "m and m/s a second ahead at most; by=path (default) or idm: who drives, keep=model (default) or driver: whose "   \
    "state stays, most=N: half seconds of an agent a pass, scattered=1: also behind disagreement"

/// "none" (off), or terms as above; thresholds may be "inf". NM_E_ARGUMENT.
nm_status nm_agreement_option(const char *text, nm_agreement *agreement, nm_future_driver *driver, nm_error *error);

#endif
