ferry_test(checkpoint_test SOURCES unit/checkpoint_safetensors_test.cpp unit/checkpoint_pth_test.cpp
  unit/checkpoint_read_test.cpp unit/checkpoint_keys_test.cpp
  unit/checkpoint_support.cpp LIBS ferry::model TIMEOUT 300)
