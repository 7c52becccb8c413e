if(FERRY_CUDA)
  ferry_test(kernels_gpu_test SOURCES gpu/kernels_gpu_test.cpp support/gpu_device.cpp LIBS ferry_test_support LABELS gpu)
endif()
