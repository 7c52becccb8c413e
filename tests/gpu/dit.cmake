if(FERRY_CUDA)
  ferry_test(dit_gpu_test SOURCES gpu/dit_gpu_test.cpp LIBS ferry_test_support LABELS gpu)
endif()
