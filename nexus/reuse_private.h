/// What a pass with reuse keeps, shared by the files reuse*.c. Everything is host memory, cut from one block for the
/// pass's capacity; views have as many rows as the batch at hand has tokens.
///
/// Rows are here in the order (time, scene, agent), not in that of the batch: what is settled is a first part of them
/// and what moves a last one, under all schedules that denoise near tokens first, so that either is a view and need not
/// be copied.
#ifndef NM_NEXUS_REUSE_PRIVATE_H
#define NM_NEXUS_REUSE_PRIVATE_H

#include "nexus/network_private.h"
#include "nexus/reuse.h"

/// Some rows of the batch, rising.
typedef struct nm_some_rows {
    uint32_t count;
    uint32_t *rows;
} nm_some_rows;

/// What is kept of a layer.
typedef struct nm_kept_layer {
    nm_tensor stream;     ///< [N][H] stream type: its input
    nm_tensor modulation; ///< [N][6 H]; of the last [N][2 H]
    nm_tensor qkv;        ///< [N][3 H] of that input; rotated in temporal layers
    float *stale;         ///< [N] by how much input or modulation have changed since qkv was computed, 0 = not; of the
                          ///< last: since v was
    float *context;       ///< [N] change of keys since the row's last output; INFINITY: the output is due in any case;
                          ///< NAN: as it has never been computed
} nm_kept_layer;

/// What a held row is marked with whose scene is finished: not even what is known of it is looked at.
#define NM_REUSE_FINISHED 2

/// Working memory of a pass, rows as in a list.
typedef struct nm_reuse_work {
    nm_tensor assembled, entry, stream, narrow, position, pose, v;
    nm_layer_acts layer;
    float *level; ///< [N] of this pass
    uint32_t *level_index, *time_index;
    uint32_t *place;                      ///< [N] of a row in a list
    nm_some_rows inputs, keys, outputs;   ///< lists, [N] each
    uint32_t *query_offsets, *query_rows; ///< groups of the rows of a list
    float *change;                        ///< [N] of what keys are made of, in this layer and pass; 0 where none
    float *told;                          ///< [N] change of the entry
    uint8_t *moved, *moved_next;          ///< [N] a layer's input changed in this pass
    nm_tensor shift;                      ///< [N][H] by how much; where blocks are skipped
    uint8_t *held, *needed, *time_needed; ///< [N] not to be computed; level above 0; one such at the row's time
    int any_held;
    uint32_t *next_group; ///< [scenes]
    uint8_t *settled;     ///< [N] by agent: all its tokens are at level 0
} nm_reuse_work;

struct nm_reuse {
    nm_pass *pass;
    nm_reuse_config config;
    nm_reuse_stats stats;
    void *block;                ///< nm_pages_allocate
    uint32_t tokens;            ///< in the batch at hand
    uint64_t batches, encoded;  ///< the pass's counters when what is kept was computed
    uint64_t since;             ///< passes since everything was computed
    uint64_t passes;            ///< since the creation: which are checked
    int fresh;                  ///< nothing is kept: this pass computes everything
    uint32_t *order, *place_of; ///< [N] the batch's row of a row here, and back
    uint32_t *agent_rows;       ///< [N] rows of the batch's by_agent and by_scene
    uint32_t *time_rows;        ///< [N] of its by_time
    nm_tensor position, poses;  ///< [N][1], [N][4] stream type
    nm_kept_layer *layers;      ///< [layers + 1]; the last is the output's and has no keys
    nm_tensor assembled;        ///< [N][3 C + K] that layers[0].stream was made of
    float *level;               ///< [N] likewise
    float *told_pose;           ///< [N][4] as in nm_pass_input, in the order of the batch
    nm_tensor map_share;        ///< [N][H] stream type: what attention to the map added, with config.map
    float *map_level;           ///< [N] at which level
    nm_tensor v;                ///< [N][C] stream type
    nm_reuse_work work;
};

/// Cuts the block (NULL: only sums) for `tokens` tokens and returns the bytes used. Views have that many rows.
size_t nm_reuse_cut(nm_reuse *reuse, uint32_t tokens, uint32_t scenes, void *block);

/// Which batch it is about: the order of rows.
void nm_reuse_sort(nm_reuse *reuse);
/// Which rows are needed, and which are held; see nm_reuse_config. pose: of this pass, in the order of the batch.
void nm_reuse_choose(nm_reuse *reuse, const float *pose);
/// From the pass's uploaded inputs and work.level to reuse->v.
void nm_reuse_forward(nm_reuse *reuse);

// rows
// ---------------------------------------------------------------------------------------------------------------------

/// Are the rows of a list, which has some, without gaps?
static inline int nm_rows_adjoin(const nm_some_rows *list) {
    return list->rows[list->count - 1] - list->rows[0] + 1 == list->count;
}
/// The rows of a list, one after another, in `to`; or where they are in `from`, if they adjoin.
nm_tensor nm_rows_gather(nm_tensor from, const nm_some_rows *list, nm_tensor to);
/// Where the rows of a list are to be written that belong into `to`: there, if they adjoin, else in `work`.
nm_tensor nm_rows_target(nm_tensor to, const nm_some_rows *list, nm_tensor work);
/// Brings them there from nm_rows_target.
void nm_rows_scatter(nm_tensor from, const nm_some_rows *list, nm_tensor to);
int nm_rows_differ(nm_tensor a, uint32_t row_a, nm_tensor b, uint32_t row_b); ///< in any bit
/// |a - b| / |b| of two rows of the stream type: 0 only where all bits are the same; INFINITY where that is no number.
float nm_rows_change(nm_tensor a, uint32_t row_a, nm_tensor b, uint32_t row_b);
void nm_rows_copy(nm_tensor from, uint32_t from_row, nm_tensor to, uint32_t to_row);
/// to[to_row] += a[a_row] - b[b_row], and to = a - b; stream type.
void nm_rows_subtract(nm_tensor a, uint32_t a_row, nm_tensor b, uint32_t b_row, nm_tensor to, uint32_t to_row);
void nm_rows_add(nm_tensor from, uint32_t from_row, nm_tensor to, uint32_t to_row);

#endif
