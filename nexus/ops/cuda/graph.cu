#include <stdlib.h>

#include "nexus/ops/cuda/backend.cuh"

struct nm_recording {
    cudaGraphExec_t graph;
};

namespace nm_cuda {

nm_status capture_begin(nm_backend *handle, nm_error *error) {
    backend *b = enter(handle, "capture_begin");
    NM_ASSERT(!b->capturing);
    // Relaxed: what other threads do with other backends is none of this recording's business.
    const cudaError_t result = cudaStreamBeginCapture(b->stream, cudaStreamCaptureModeRelaxed);
    if (result != cudaSuccess)
        return NM_ERROR(error, NM_E_IO, "The GPU does not start to record: %s", cudaGetErrorString(result));
    b->capturing = true;
    return NM_OK;
}

nm_status capture_end(nm_backend *handle, nm_recording **recording, nm_error *error) {
    backend *b = enter(handle, "capture_end");
    NM_ASSERT(b->capturing);
    b->capturing = false;
    *recording = nullptr;
    cudaGraph_t graph = nullptr;
    cudaError_t result = cudaStreamEndCapture(b->stream, &graph);
    cudaGraphExec_t executable = nullptr;
    if (result == cudaSuccess) result = cudaGraphInstantiate(&executable, graph, 0);
    if (graph) (void)cudaGraphDestroy(graph);
    if (result != cudaSuccess) {
        (void)cudaGetLastError();
        return NM_ERROR(error, NM_E_IO, "The operations could not be recorded: %s", cudaGetErrorString(result));
    }
    nm_recording *made = static_cast<nm_recording *>(malloc(sizeof *made));
    if (!made) {
        (void)cudaGraphExecDestroy(executable);
        return NM_ERROR(error, NM_E_MEMORY, "No memory for a recording");
    }
    made->graph = executable;
    *recording = made;
    return NM_OK;
}

void replay(nm_backend *handle, const nm_recording *recording) {
    backend *b = enter(handle, "replay");
    NM_ASSERT(!b->capturing && recording);
    check(b, cudaGraphLaunch(recording->graph, b->stream));
}

void release_recording(nm_backend *handle, nm_recording *recording) {
    backend *b = enter(handle, "release_recording");
    if (!recording) return;
    check(b, cudaStreamSynchronize(b->stream)); // it may be running
    check(b, cudaGraphExecDestroy(recording->graph));
    free(recording);
}

} // namespace nm_cuda
