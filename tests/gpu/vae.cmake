if(FERRY_CUDA)
  ferry_test(vae_gpu_test SOURCES gpu/vae_gpu_test.cpp unit/vae_golden_test.cpp unit/vae_reference.cpp
    support/gpu_device.cpp LIBS ferry_test_support LABELS gpu)
endif()
