if(FERRY_CUDA)
  ferry_test(text_gpu_test SOURCES gpu/text_gpu_test.cpp unit/text_golden_test.cpp support/gpu_device.cpp
    LIBS ferry_test_support LABELS gpu)
endif()
