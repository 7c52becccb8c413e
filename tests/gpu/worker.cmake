if(FERRY_CUDA)
  ferry_test(worker_memory_gpu_test SOURCES gpu/worker_memory_gpu_test.cpp unit/vae_reference.cpp support/gpu_device.cpp
    LIBS ferry::worker ferry_test_support LABELS gpu)
  set_tests_properties(worker_memory_gpu_test PROPERTIES RUN_SERIAL ON)  # takes all of the GPU's memory
endif()
