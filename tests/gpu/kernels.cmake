if(FERRY_CUDA)
  ferry_test(kernels_gpu_test SOURCES gpu/kernels_gpu_test.cpp LIBS ferry_test_support LABELS gpu)
endif()
