if(FERRY_CUDA)
  ferry_test(dit_gpu_test SOURCES gpu/dit_gpu_test.cpp unit/dit_golden_test.cpp support/gpu_device.cpp
    LIBS ferry_test_support LABELS gpu)
  ferry_mpi_test(dit_mpi_gpu_test SOURCES mpi/dit_mpi_test.cpp support/gpu_device.cpp LIBS ferry_test_support
    LABELS gpu TIMEOUT 300)
  ferry_mpi_test(dit_uneven_mpi_gpu_test SOURCES mpi/dit_uneven_mpi_test.cpp support/gpu_device.cpp
    LIBS ferry_test_support LABELS gpu TIMEOUT 300 RANKS 2 3 4)
endif()
