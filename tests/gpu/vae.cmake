if(FERRY_CUDA)
  ferry_test(vae_gpu_test SOURCES gpu/vae_gpu_test.cpp unit/vae_golden_test.cpp unit/vae_reference.cpp
    support/gpu_device.cpp LIBS ferry_test_support LABELS gpu)
  # Measures speed and waits.  Started first: a serial test waits until all others that run have ended.
  set_tests_properties(vae_gpu_test PROPERTIES RUN_SERIAL ON COST 1000)
  ferry_mpi_test(vae_mpi_gpu_test SOURCES mpi/vae_mpi_test.cpp unit/vae_reference.cpp support/gpu_device.cpp
    LIBS ferry_test_support LABELS gpu TIMEOUT 300)
endif()
