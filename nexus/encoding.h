/// How states of agents are written into the channels of tokens, and what a token becomes when the frame that it is in
/// moves. Pure functions, safe everywhere.
#ifndef NM_NEXUS_ENCODING_H
#define NM_NEXUS_ENCODING_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_state_field {
    NM_FIELD_X = 0, ///< m
    NM_FIELD_Y,
    NM_FIELD_COS, ///< of the heading
    NM_FIELD_SIN,
    NM_FIELD_VX, ///< m/s
    NM_FIELD_VY,
    NM_FIELD_LENGTH, ///< m
    NM_FIELD_WIDTH,
    NM_FIELD_COUNT
} nm_state_field;

/// A token holds `states` states at equal steps of time, the last one at the token's time; field f of state i is in
/// channel i * stride + channel[f], as (value - mean[f]) / scale[f].
typedef struct nm_state_encoding {
    uint32_t states; ///< [1, 16]
    uint32_t stride; ///< channels from one state to the next; of no meaning with one state
    int32_t
        channel[NM_FIELD_COUNT]; ///< -1 = not encoded: length, width, and vy: then vx is the speed along the heading
    float mean[NM_FIELD_COUNT], scale[NM_FIELD_COUNT];
} nm_state_encoding;
/// nexus-core section 1: eight channels in the order of the fields; scale = 2 std.
NM_API nm_state_encoding nm_state_encoding_published(void);
/// Five states of x, y, cos, sin and speed, each with its scale and mean 0.
NM_API nm_state_encoding nm_state_encoding_own(float position_scale, float heading_scale, float speed_scale);

/// NM_E_ARGUMENT for a number of states out of range, a scale that is 0 or not finite, a mean that is not finite, and a
/// field that must be encoded and is not.
NM_API nm_status nm_state_encoding_check(const nm_state_encoding *encoding, nm_error *error);
/// Channels that it reaches: a token has at least so many.
NM_API uint32_t nm_state_encoding_channels(const nm_state_encoding *encoding);

// ---------------------------------------------------------------------------------------------------------------------
// Frames

/// A rigid motion of the plane: p becomes (x, y) + (cos_h, -sin_h; sin_h, cos_h) p, in m; (cos_h, sin_h) is a unit
/// vector. The pose of a frame is the motion that makes coordinates in it those of the frame around it.
typedef struct nm_motion {
    double x, y, cos_h, sin_h;
} nm_motion;

/// What makes coordinates in the frame of pose `from` those in the frame of pose `to`.
NM_API nm_motion nm_motion_between(const nm_motion *from, const nm_motion *to);
/// NM_E_NUMERIC when it is not finite, or (cos_h, sin_h) is not of length 1 to 1e-6.
NM_API nm_status nm_motion_check(const nm_motion *motion, nm_error *error);

/// Can tokens of so encoded states be moved? NM_E_ARGUMENT, beyond nm_state_encoding_check, when the encoding reaches
/// past `channels`, or the two fields of a vector (x and y, cos and sin, vx and vy) have different scales: noise of one
/// size in both channels would not stay so when turned.
NM_API nm_status nm_state_encoding_check_motion(const nm_state_encoding *encoding, uint32_t channels, nm_error *error);

/// What the values of one token become, in place. They are alpha x + sigma e, x the encoded states and e noise. With R
/// the rotation, t the translation, m and s mean and scale of a vector's fields, an encoded position x becomes
/// (R (s x + m) + t - m) / s = R x + b, so alpha x + sigma e becomes R (alpha x + sigma e) + alpha b: the noise, which
/// is alike in all directions, turns and stays what it is. Directions and velocities the same with t = 0; speeds and
/// sizes stay. alpha 1 moves what is clean.
///
/// values  [in/out, channels]; channels that encode nothing stay. Computed in double, rounded once.
NM_API void nm_state_encoding_move(const nm_state_encoding *encoding, const nm_motion *motion, double alpha,
                                   float *values);

#ifdef __cplusplus
}
#endif
#endif
