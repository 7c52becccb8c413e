if(FERRY_CUDA)
  ferry_test(text_gpu_test SOURCES gpu/text_gpu_test.cpp LIBS ferry_test_support LABELS gpu)
endif()
