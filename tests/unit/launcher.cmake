ferry_test(launcher_test SOURCES unit/launcher_options_test.cpp unit/launcher_settings_test.cpp
  unit/launcher_spawn_test.cpp unit/launcher_check_test.cpp unit/launcher_bench_test.cpp unit/launcher_demo_words_test.cpp
  unit/launcher_config_test.cpp unit/launcher_words_test.cpp unit/launcher_manifest_test.cpp unit/launcher_caught_test.cpp LIBS ferry::launcher)
ferry_test(launcher_sweep_test SOURCES unit/launcher_sweep_test.cpp LIBS ferry::launcher)
target_compile_definitions(launcher_sweep_test PRIVATE FERRY_DEMO_MODEL="${PROJECT_SOURCE_DIR}/models/demo")

# Rules of the repository itself.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME include_direction COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_includes.py
  ${PROJECT_SOURCE_DIR})
add_test(NAME size_limits COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_sizes.py ${PROJECT_SOURCE_DIR})
add_test(NAME references COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_references.py
  ${PROJECT_SOURCE_DIR})
add_test(NAME launcher_tools_test COMMAND Python3::Interpreter
  ${PROJECT_SOURCE_DIR}/tests/unit/launcher_tools_test.py)
add_test(NAME launcher_setup_test COMMAND Python3::Interpreter
  ${PROJECT_SOURCE_DIR}/tests/unit/launcher_setup_test.py)
set_tests_properties(launcher_setup_test PROPERTIES TIMEOUT 200 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
