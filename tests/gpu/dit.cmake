if(FERRY_CUDA)
  ferry_test(dit_gpu_test SOURCES gpu/dit_gpu_test.cpp unit/dit_golden_test.cpp support/gpu_device.cpp
    LIBS ferry_test_support LABELS gpu)
endif()
