/// Attention (Vaswani et al. 2017) within groups of packed rows: over time, over agents, from tokens to the map, over
/// map points, among latents. Who attends to whom is a list of groups; padding does not exist here.
#ifndef NM_NEXUS_OPS_ATTENTION_H
#define NM_NEXUS_OPS_ATTENTION_H

#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Group g: the query rows query_rows[query_offsets[g] .. query_offsets[g + 1]) attend to the key rows
/// key_rows[key_offsets[g] .. key_offsets[g + 1]). Every query row is in exactly one group; a group may have no key
/// (its queries get zeros). Arrays are in the backend's memory (nm_ops.upload_u32), made once per batch.
typedef struct nm_groups {
    uint32_t count;
    uint32_t max_queries, max_keys; ///< of any group
    const uint32_t *query_offsets;  ///< [count + 1]
    const uint32_t *query_rows;     ///< [query_offsets[count]]
    const uint32_t *key_offsets;    ///< [count + 1]
    const uint32_t *key_rows;       ///< [key_offsets[count]]
    int shared_keys;                ///< a key row may be in several groups; else in one at most
} nm_groups;

/// out_i = sum_j softmax_j(q_i . k_j / sqrt(D) + bias_ij) v_j, per head, over the keys j of i's group; D = C / heads.
/// bias_ij is 0 without poses, else sum_f pose_weight[head][f] feature_f(pose_i, pose_j); see nm_pose_features.
typedef struct nm_attention {
    nm_tensor q;    ///< [Nq][C] compute type
    nm_tensor k, v; ///< [Nk][C] compute type
    uint32_t heads; ///< divides C
    const nm_groups *groups;
    nm_tensor query_pose, key_pose; ///< [Nq][4], [Nk][4] F32 (F64 reference) or absent: x, y in m, cos, sin of heading
    nm_tensor pose_weight;          ///< [heads][NM_POSE_FEATURES] parameter type, with poses
    nm_tensor out;                  ///< [out, Nq x C] compute type
    nm_tensor logsumexp;            ///< [out, nullable, Nq x heads] F32 (F64 reference); -inf for rows without a key
} nm_attention;
typedef void nm_attention_forward(nm_backend *backend, const nm_attention *op);

/// dq, dk, dv are written (0 for rows that are in no group); dpose_weight is added to. Poses get no gradient.
/// Key gradients are summed in the order of groups and queries: the same bits every time.
typedef struct nm_attention_grad {
    nm_attention forward; ///< as it was, with out and logsumexp filled
    nm_tensor dout;       ///< [Nq][C] compute type
    nm_tensor dq, dk, dv; ///< [out] compute type
    nm_tensor dpose_weight;
} nm_attention_grad;
typedef void nm_attention_backward(nm_backend *backend, const nm_attention_grad *op);

/// Rotary position embedding (Su et al. 2021) of physical time, in place on q or k: the pair (2 i, 2 i + 1) of every
/// head is turned by time * 10000^(-2 i / D) rad. direction +1; -1 turns back, which is its gradient.
/// x [in/out, N x C] compute type; time [N][1] F32 (F64 reference), in tokens.
typedef void nm_rotary(nm_backend *backend, nm_tensor x, nm_tensor time, uint32_t heads, int direction);

/// y = x with the pairs (2 i, 2 i + 1) of every row turned by angles that are given: by any place, time or heading. The
/// turns repeat over the columns of x, so that one table does for queries, keys and values side by side. Turned queries
/// and keys see differences of angles alone; values that are turned, and turned back for the query once they are added
/// up, come as seen from it (rotary positions: Su et al. 2021; of values: Miyato et al. 2024, arXiv 2310.10375).
/// Its gradient is the same with the other direction, where cos^2 + sin^2 = 1 or not.
typedef struct nm_pair_turn {
    nm_tensor x;     ///< [N][m W] compute type
    nm_tensor turns; ///< [N][W] F32 (F64 reference), W even: cos, sin of the angle of each pair
    int direction;   ///< +1; -1 turns back
    nm_tensor y;     ///< [out, N x m W] compute type; may be x itself
} nm_pair_turn;
typedef void nm_pair_turn_forward(nm_backend *backend, const nm_pair_turn *op);

/// Features of where `key` is as seen from `query`, all in [-1, 1]. With d the distance, b the bearing of the key in
/// the query's frame, h the difference of headings, near = exp(-d / 20 m):
///   0..5   exp(-(log2(1 + d / 1 m) - i)^2), i = 0..5
///   6, 7   cos b, sin b (0 at d = 0)        8, 9   near cos b, near sin b
///   10, 11 cos h, sin h                     12, 13 near cos h, near sin h
#define NM_POSE_FEATURES 14

#ifdef __cplusplus
}
#endif
#endif
