ferry_test(checkpoint_test SOURCES unit/checkpoint_safetensors_test.cpp unit/checkpoint_pth_test.cpp
  unit/checkpoint_pth_refused_test.cpp
  unit/checkpoint_read_test.cpp unit/checkpoint_keys_test.cpp unit/checkpoint_folder_test.cpp unit/checkpoint_lora_test.cpp
  unit/checkpoint_quantization_test.cpp unit/checkpoint_quantization_refused_test.cpp
  unit/checkpoint_quantization_support.cpp
  unit/checkpoint_lora_scale_test.cpp unit/checkpoint_name_pattern_test.cpp
  unit/checkpoint_config_test.cpp unit/checkpoint_specs_test.cpp unit/checkpoint_support.cpp LIBS ferry::checkpoint TIMEOUT 300)
ferry_test(checkpoint_foreign_test SOURCES unit/checkpoint_other_kind_test.cpp unit/checkpoint_hub_folder_test.cpp
  unit/checkpoint_distilled_test.cpp
  unit/checkpoint_nested_pth_test.cpp unit/checkpoint_unexpected_test.cpp unit/checkpoint_members_test.cpp
  unit/checkpoint_support.cpp LIBS ferry::checkpoint TIMEOUT 300)
ferry_test(make_model_test SOURCES unit/checkpoint_make_model_test.cpp unit/checkpoint_inspect_test.cpp
  unit/checkpoint_support.cpp
  LIBS ferry::checkpoint TIMEOUT 300)
ferry_test(checkpoint_lora_random_test SOURCES unit/checkpoint_lora_random_test.cpp unit/checkpoint_support.cpp
  LIBS ferry::checkpoint TIMEOUT 300)
