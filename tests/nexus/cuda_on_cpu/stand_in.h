/// What tests may ask of, and tell, the library that stands in for cuBLASLt.
#ifndef NM_TESTS_CUDA_ON_CPU_STAND_IN_H
#define NM_TESTS_CUDA_ON_CPU_STAND_IN_H

#ifdef __cplusplus
extern "C" {
#endif

int nm_stand_in_searches(void); ///< algorithms asked for since the program began
int nm_stand_in_products(void); ///< products taken
/// Products of fewer rows are refused from now on, whatever algorithm they come with; 0 = none.
void nm_stand_in_refuse_below(unsigned rows);

#ifdef __cplusplus
}
#endif
#endif
