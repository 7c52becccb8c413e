# ferry_library(NAME), the flags every target has, and the three kinds of test.
add_library(ferry_flags INTERFACE)
# Warnings are errors with CI's compiler, GCC 12; GCC 13 warns of fmt's and the standard library's code where it inlines it.
set(_ferry_werror "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(_ferry_werror -Werror)
endif()
target_compile_options(ferry_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra ${_ferry_werror} -Wno-psabi -fno-math-errno
  -fno-trapping-math -ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -Xcompiler=-Wall,-Werror -Werror=all-warnings>)
target_include_directories(ferry_flags INTERFACE ${PROJECT_SOURCE_DIR})

# LibTorch and this program pass each other C++ objects (locales, exceptions), so both need one libstdc++: the
# shared one, also where the compiler knows only its archive.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libstdc++.so
  OUTPUT_VARIABLE _ferry_stdcxx OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT IS_ABSOLUTE "${_ferry_stdcxx}")
  find_library(FERRY_STDCXX libstdc++.so.6 REQUIRED)
  target_link_libraries(ferry_flags INTERFACE ${FERRY_STDCXX})
endif()

set(FERRY_SANITIZE "" CACHE STRING "What -fsanitize is given (see CMakePresets.json)")
if(FERRY_SANITIZE)
  # Every report ends the program, those of undefined behaviour too.
  set(_ferry_sanitize -fsanitize=${FERRY_SANITIZE} -fno-sanitize-recover=all)
  target_compile_options(ferry_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:${_ferry_sanitize} -fno-omit-frame-pointer>)
  target_link_options(ferry_flags INTERFACE ${_ferry_sanitize})
endif()

# The library ferry::<folder>.  Its CMakeLists adds sources with target_sources.
function(ferry_library name)
  add_library(ferry_${name} STATIC)
  add_library(ferry::${name} ALIAS ferry_${name})
  target_link_libraries(ferry_${name} PUBLIC ferry_flags ${ARGN})
  set_target_properties(ferry_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()

# The environment of tests.  Two run at a time, so threads that wait do not spin.
set(FERRY_TEST_ENV
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  OMP_WAIT_POLICY=passive OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none
  FERRY_SOURCE_DIR=${PROJECT_SOURCE_DIR} FERRY_BINARY=${PROJECT_BINARY_DIR}/launcher/ferry)
# Sanitizers leave out what Open MPI does by itself; one OpenMP thread, whose barriers they do not know.
set(_ferry_support ${PROJECT_SOURCE_DIR}/tests/support)
if(FERRY_SANITIZE STREQUAL "thread")
  list(APPEND FERRY_TEST_ENV TSAN_OPTIONS=suppressions=${_ferry_support}/tsan.supp
    OMPI_MCA_btl=vader,self OMP_NUM_THREADS=1)
elseif(FERRY_SANITIZE MATCHES "address")
  list(APPEND FERRY_TEST_ENV ASAN_OPTIONS=fast_unwind_on_malloc=0
    LSAN_OPTIONS=suppressions=${_ferry_support}/lsan.supp:print_suppressions=0 OMP_NUM_THREADS=1)
endif()

# Programs of tests end with this when they skipped every test: CTest then says Skipped, not Passed.
set(FERRY_SKIPPED_EXIT 77)

# Seconds of a test: 120 unless it says otherwise, and more where each access of memory is looked at.
function(_ferry_timeout name)
  if(NOT ${name})
    set(${name} 120)
  endif()
  if(FERRY_SANITIZE)
    math(EXPR ${name} "${${name}} * 8")
  endif()
  set(${name} ${${name}} PARENT_SCOPE)
endfunction()

function(_ferry_test_binary name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LIBS} GTest::gmock)
  # Tests are compiled more often than their own code computes: this takes about three quarters of -O3's time.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:$<$<COMPILE_LANGUAGE:CXX>:-O1>>)
endfunction()

# ferry_test(base_test SOURCES a_test.cpp LIBS ferry::base [LABELS x] [TIMEOUT 60]): one process, one CTest entry.
function(ferry_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  _ferry_timeout(T_TIMEOUT)
  _ferry_test_binary(${name} SOURCES ${T_SOURCES} LIBS ${T_LIBS} ferry_test_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} ENVIRONMENT "${FERRY_TEST_ENV}" LABELS "${T_LABELS}"
    SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT})
endfunction()

# The same on each of RANKS (default 1 2 4) MPI ranks; its sources have tests/support/mpi_main.cpp's main.
function(ferry_mpi_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS;RANKS" ${ARGN})
  _ferry_timeout(T_TIMEOUT)
  if(NOT T_RANKS)
    set(T_RANKS 1 2 4)
  endif()
  _ferry_test_binary(${name} SOURCES ${T_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/mpi_main.cpp
    LIBS ${T_LIBS} ferry::parallel GTest::gtest)
  foreach(ranks IN LISTS T_RANKS)
    # Ranks keep both cores busy.
    set(cores 1)
    if(ranks GREATER 1)
      set(cores 2)
    endif()
    add_test(NAME ${name}_${ranks} COMMAND ${MPIEXEC_EXECUTABLE} -n ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}_${ranks} PROPERTIES TIMEOUT ${T_TIMEOUT} PROCESSORS ${cores}
      SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT} ENVIRONMENT "${FERRY_TEST_ENV};OMP_NUM_THREADS=1" LABELS "mpi;${T_LABELS}")
  endforeach()
endfunction()
