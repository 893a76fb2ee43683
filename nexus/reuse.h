/// Passes of the network that do not compute again what hardly changed since the pass before.
///
/// Idea: FreeCache (arXiv 2505.21467): keys and values of tokens that are settled change little from pass to pass, so
/// that those of earlier passes serve; here for whole layers, token by token, and with the change measured. Of every
/// token and layer are kept: the layer's input, its modulation, its query, key and value; of every token what it was
/// told and what was predicted. A pass then computes
///
///   a token's entry, its share of the map and its modulations   when what is known of it has changed
///   its query, key and value in a layer                         when its input to the layer has changed
///   its output of the layer, attention and MLP                  when those have, or keys it attends to have
///   its prediction                                              when its last output has, and its level is above 0
///
/// "Has changed": by more than `drift`, relative: |new - kept| > drift |kept|, Euclidean, per row. Kept values stay
/// what they were until then, so that small changes add up against them and are not lost. Keys that a token attends to
/// count with the mean of their changes over its group, added up since the token's last output. With drift 0 that is
/// bit for bit: what is left out is what would come out the same, and predictions are those of nm_pass_predict to the
/// bit where rows of products do not depend on the other rows (all backends that this runs on). Exact for every
/// schedule: given tokens cost no map and no modulation after the first pass, and nothing in the last layer.
///
/// What is bounded, and what is not. After a pass every row's query, key and value were made of an input and of
/// knowledge that differ by at most drift |kept| from those that the pass computed, and what a row's output was made of
/// besides, its group's keys, by at most drift on average: unless it is held, or skipped. That bounds what each layer
/// leaves out, not the prediction: layers amplify, by more than any cheap constant says (attention has none), and later
/// passes are told what earlier ones made of it. So the error of predictions is measured (`check`), against an exact
/// pass that is told the same; and that of what is sampled in the end, in metres (`compare`), against exact passes all
/// the way. What is printed are the largest errors that were seen, which bound these passes and these samples, and no
/// others.
///
/// Reductions are told in advance which tokens may stay as they are ("held"): see nm_reuse_config. They are
/// approximate at any drift. Scenes without a token above level 0 are held whole: nobody asks what becomes of them.
///
/// Whatever is kept is forgotten when the pass gets other scenes or tokens, when the model's weights are renewed, and
/// when a pose differs. Values that are overwritten or moved are seen as any change is. So nothing has to be told.
///
/// On backends whose memory is the host's (cpu, reference). One thread at a time, that of the pass. Everything is a
/// function of the inputs since the batch was set, for any number of threads, and of a scene's tokens alone.
#ifndef NM_NEXUS_REUSE_H
#define NM_NEXUS_REUSE_H

#include "nexus/network.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_REUSE_NO_LIMIT UINT32_MAX

/// Fill with nm_reuse_config_default().
typedef struct nm_reuse_config {
    int on;           ///< 0 or 1; default 0: passes are computed whole, and the rest is not read
    float drift;      ///< see above; 0..1; default 0
    uint32_t refresh; ///< every so many passes everything is computed; 0 = only the first; default 0
    uint32_t check;   ///< every so many passes the exact one is computed, too, and compared; 0 = never; default 0
    int compare;      ///< 0 or 1: generators (generator.h) sample everything once more with exact passes and the same
                      ///< noise, and measure how far apart they end; default 0. Passes do not read it

    // Reductions. "Moving": tokens at a level above 0 and below 1; where an agent has none, its first above 0, and all
    // from there to its last at level 0, are taken for these.
    uint32_t ahead;  ///< tokens at level 1 are held that are more than so many time tokens away from all that move of
                     ///< their agent; at least as many as the schedule starts at once. Default NO_LIMIT: none
    uint32_t behind; ///< the same for tokens at level 0, as long as what is known of them stays; of agents that are
                     ///< finished altogether all. Default NO_LIMIT
    float far;       ///< m; agents whose tokens are all at level 0, and who are farther from any other agent, are held
                     ///< as long as what is known of them stays; 0 = none; default 0. Wants poses
    float map;       ///< a token's share of the map is that of an earlier level, until its own is lower by more than
                     ///< this; below 0 = never; default -1
    uint32_t skip_first,
        skip_end;     ///< blocks [first, end) pass tokens on as they did last (out - in stays), where their
    float skip_level; ///< level is at most this; default none
} nm_reuse_config;
NM_API nm_reuse_config nm_reuse_config_default(void);

/// "exact" (drift 0), or "drift=D", "refresh=R", "check=N", "compare" with commas, into `config`, which is on then;
/// what is not named stays. NM_E_ARGUMENT naming the choices.
NM_API nm_status nm_reuse_parse(const char *text, nm_reuse_config *config, nm_error *error);
/// "ahead=N", "behind=N", "far=M", "map=L", "skip=FIRST-LAST@L" (blocks from 1) with commas, likewise.
NM_API nm_status nm_reuse_parse_reductions(const char *text, nm_reuse_config *config, nm_error *error);

/// What it saved, and what it cost.
typedef struct nm_reuse_stats {
    uint64_t passes;
    double flops, exact_flops;          ///< multiply-adds times two of these passes, and of exact ones
    double outputs, exact_outputs;      ///< rows of layers that were computed
    uint64_t checked;                   ///< passes that were compared
    uint64_t values;                    ///< predicted values that were compared: of tokens above level 0
    double error_sum, exact_square_sum; ///< of |v - v_exact| and v_exact^2 over them
    double error_max;
    uint64_t moving_values; ///< of these, those of tokens below level 1, which are the ones that a sampler takes
    double moving_error_sum, moving_error_max;
    double relative_max; ///< over the passes that were compared, of |v - v_exact| / |v_exact|, Euclidean, over the same
    // With `compare`: what was sampled against what exact passes make of the same noise
    uint64_t positions;                            ///< that were sampled: agents at the steps of the encoding
    double position_error_sum, position_error_max; ///< m
} nm_reuse_stats;
NM_API void nm_reuse_stats_add(nm_reuse_stats *sum, const nm_reuse_stats *more);

typedef struct nm_reuse nm_reuse;

/// pass  borrowed, and must outlive it; not for training. Memory is made for the pass's capacity: some
///       (10 layers + 20) H numbers a token
/// NM_E_UNSUPPORTED for a backend whose memory is not the host's, and for a model with joint attention; NM_E_ARGUMENT
/// for a value out of range, blocks that the model has not, or `far` without poses; NM_E_MEMORY.
NM_API nm_status nm_reuse_create(nm_pass *pass, const nm_reuse_config *config, nm_reuse **reuse, nm_error *error);
NM_API void nm_reuse_destroy(nm_reuse *reuse); ///< NULL is fine

/// As nm_pass_predict, but that rows of v of tokens at level 0 are 0. Allocates nothing, but what a backend may the
/// first time it sees a number of rows.
NM_API nm_status nm_reuse_predict(nm_reuse *reuse, const nm_pass_input *input, float *v, nm_error *error);
NM_API nm_reuse_stats nm_reuse_get_stats(const nm_reuse *reuse); ///< since the creation, or nm_reuse_reset_stats
NM_API void nm_reuse_reset_stats(nm_reuse *reuse);

#ifdef __cplusplus
}
#endif
#endif
