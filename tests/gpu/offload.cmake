ferry_test(offload_gpu_test SOURCES gpu/offload_gpu_test.cpp support/gpu_device.cpp LIBS ferry_offload_toy LABELS gpu TIMEOUT 300)
if(FERRY_CUDA)
  ferry_mpi_test(offload_dit_mpi_gpu_test SOURCES mpi/offload_dit_mpi_test.cpp
    mpi/offload_shares_mpi_test.cpp mpi/offload_way_mpi_test.cpp support/gpu_device.cpp LIBS ferry_offload_toy
    LABELS gpu TIMEOUT 300)
  ferry_test(offload_calls_gpu_test SOURCES gpu/cuda_calls.cpp gpu/offload_calls_gpu_test.cpp support/gpu_device.cpp
    LIBS ferry_offload_toy LABELS gpu)
  ferry_mpi_test(offload_calls_mpi_gpu_test SOURCES gpu/cuda_calls.cpp gpu/offload_calls_mpi_gpu_test.cpp
    support/gpu_device.cpp LIBS ferry_offload_toy RANKS 2 4 LABELS gpu)
  # The shared libraries take the counted functions from the program.
  set_target_properties(offload_calls_gpu_test offload_calls_mpi_gpu_test PROPERTIES ENABLE_EXPORTS ON)
endif()
