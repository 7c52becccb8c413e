ferry_test(offload_gpu_test SOURCES gpu/offload_gpu_test.cpp LIBS ferry_offload_toy LABELS gpu TIMEOUT 300)
if(FERRY_CUDA)
  ferry_test(offload_calls_gpu_test SOURCES gpu/cuda_calls.cpp gpu/offload_calls_gpu_test.cpp
    LIBS ferry_offload_toy LABELS gpu)
  foreach(call Malloc Free EventCreateWithFlags StreamCreateWithPriority EventSynchronize StreamSynchronize
      DeviceSynchronize HostRegister)
    target_link_options(offload_calls_gpu_test PRIVATE -Wl,--wrap=cuda${call})
  endforeach()
endif()
