ferry_mpi_test(worker_generate_mpi_test SOURCES mpi/worker_generate_mpi_test.cpp mpi/worker_load_mpi_test.cpp
  LIBS ferry::worker ferry_test_support
  TIMEOUT 300)
ferry_mpi_test(worker_finite_mpi_test SOURCES mpi/worker_finite_mpi_test.cpp LIBS ferry::worker ferry_test_support
  TIMEOUT 300)
# A video that is stopped and gone on with, on each device.
ferry_mpi_test(worker_resume_mpi_test SOURCES mpi/worker_resume_mpi_test.cpp support/cpu_device.cpp
  LIBS ferry::worker ferry_test_support RANKS 1 2 TIMEOUT 300)
if(FERRY_CUDA)
  ferry_mpi_test(worker_resume_mpi_gpu_test SOURCES mpi/worker_resume_mpi_test.cpp support/gpu_device.cpp
    LIBS ferry::worker ferry_test_support RANKS 1 2 LABELS gpu TIMEOUT 300)
endif()
# Videos that one engine makes after each other, on each device.
ferry_mpi_test(worker_engine_mpi_test SOURCES mpi/worker_engine_mpi_test.cpp support/cpu_device.cpp
  LIBS ferry::worker ferry_test_support RANKS 1 2 TIMEOUT 600)
if(FERRY_CUDA)
  ferry_mpi_test(worker_engine_mpi_gpu_test SOURCES mpi/worker_engine_mpi_test.cpp support/gpu_device.cpp
    LIBS ferry::worker ferry_test_support RANKS 1 2 LABELS gpu TIMEOUT 300)
endif()
# Batches, on each device.
ferry_mpi_test(worker_batch_mpi_test SOURCES mpi/worker_batch_mpi_test.cpp support/cpu_device.cpp
  LIBS ferry::worker ferry_test_support RANKS 1 2 4 TIMEOUT 300)
if(FERRY_CUDA)
  ferry_mpi_test(worker_batch_mpi_gpu_test SOURCES mpi/worker_batch_mpi_test.cpp support/gpu_device.cpp
    LIBS ferry::worker ferry_test_support RANKS 1 2 4 LABELS gpu TIMEOUT 300)
endif()
