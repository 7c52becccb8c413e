if(FERRY_CUDA)
  ferry_test(attention_gpu_test SOURCES gpu/attention_gpu_test.cpp support/gpu_device.cpp LIBS ferry_test_support LABELS gpu)
  ferry_test(kernels_gpu_test SOURCES gpu/kernels_gpu_test.cpp support/gpu_device.cpp LIBS ferry_test_support LABELS gpu)
endif()
