if(FERRY_CUDA)
  ferry_test(worker_memory_gpu_test SOURCES gpu/worker_memory_gpu_test.cpp unit/vae_reference.cpp support/gpu_device.cpp
    LIBS ferry::worker ferry_test_support LABELS gpu)
  # Takes all of the GPU's memory.  Started first: a serial test waits until all others that run have ended.
  set_tests_properties(worker_memory_gpu_test PROPERTIES RUN_SERIAL ON COST 1000)
  ferry_test(worker_finite_gpu_test SOURCES gpu/cuda_calls.cpp gpu/worker_finite_gpu_test.cpp support/gpu_device.cpp
    LIBS ferry::worker LABELS gpu)
  # The shared libraries take the counted functions from the program.
  set_target_properties(worker_finite_gpu_test PROPERTIES ENABLE_EXPORTS ON)
endif()
