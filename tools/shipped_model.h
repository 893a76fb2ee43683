/// Where the weights are that come with the program.
#ifndef NM_TOOLS_SHIPPED_MODEL_H
#define NM_TOOLS_SHIPPED_MODEL_H

#include "base/status.h"

enum { NM_MODEL_PATH = 4096 };

/// What the search depends on.
typedef struct nm_model_places {
    const char *environment; ///< value of NEARMISS_MODEL; NULL or "" = not set
    const char *program;     ///< path of the running program; NULL = not known
} nm_model_places;

/// Weights that come with the program have names: "shipped", nearmiss.safetensors, which writes windows of 8 s, and
/// "shipped-blocks", blocks.safetensors, which goes on block by block for as long as wanted.
#define NM_SHIPPED_BLOCKS "shipped-blocks"

/// The path of the weights to use: `asked`, unless it is NULL or such a name; for NULL and "shipped" what the
/// environment names; else the file in ../share/nearmiss as seen from the program's folder; else, for a program that
/// lies in the build tree it was made in, in nexus/weights of its source tree.
///
/// path     [out]
/// returns  NM_E_NOT_FOUND naming every place looked at. What is asked for is taken as it is, there or not; what the
///          environment names must be there: no other model is used in its stead. NM_E_LIMIT for a path too long
nm_status nm_model_path(const char *asked, const nm_model_places *places, char path[NM_MODEL_PATH], nm_error *error);

int nm_model_is_shipped(const char *name); ///< 1: a name as above; not NULL

/// The same, in the environment of this process.
nm_status nm_shipped_model(const char *asked, char path[NM_MODEL_PATH], nm_error *error);

#endif
