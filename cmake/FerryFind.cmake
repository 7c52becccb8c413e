# Looks for everything on the system that Ferry is built with; nothing is downloaded.  Each thing is a capability with
# a line in tools/dependencies.txt.  The names of those that are not there go into the global property FERRY_MISSING,
# with a note where one helps ("mpi /opt/x/mpi.h is not Open MPI's"); files of the others into FERRY_FOUND.
#
# Libraries are looked for under CMAKE_PREFIX_PATH, beside the programs on PATH, where pkg-config says, in CPATH and
# LIBRARY_PATH, and in the system.  The build includes this (FerryDependencies.cmake), and so does the question whether
# one could begin (cmake/probe), so their answers are the same.
include(CheckCXXSourceCompiles)
include(CheckSymbolExists)

# _ferry_capability(NAME "NOTE" FILE...): there, if it has files and all of them exist.
function(_ferry_capability name note)
  foreach(file IN LISTS ARGN)
    if(NOT EXISTS "${file}")
      set_property(GLOBAL APPEND PROPERTY FERRY_MISSING "${name} ${note}")
      return()
    endif()
  endforeach()
  set_property(GLOBAL APPEND PROPERTY FERRY_FOUND ${ARGN})
endfunction()

# The target ferry::NAME from a header and libraries; NAME_FOUND says whether all are there.  STATIC: the archive where
# there is one, so that machines that run the program need not have the library.
function(_ferry_find_library name)
  cmake_parse_arguments(F "STATIC" "HEADER" "MODULES;LIBS" ${ARGN})
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(PC_${name} QUIET ${F_MODULES})
  endif()
  find_path(FERRY_${name}_INCLUDE ${F_HEADER} HINTS ${PC_${name}_INCLUDE_DIRS} ENV CPATH)
  set(files ${FERRY_${name}_INCLUDE}/${F_HEADER})
  set(libraries)
  foreach(library IN LISTS F_LIBS)
    set(names ${library})
    if(F_STATIC)
      list(PREPEND names lib${library}.a)
    endif()
    find_library(FERRY_LIB_${library} NAMES ${names} HINTS ${PC_${name}_LIBRARY_DIRS} ENV LIBRARY_PATH)
    mark_as_advanced(FERRY_LIB_${library})
    list(APPEND libraries ${FERRY_LIB_${library}})
  endforeach()
  mark_as_advanced(FERRY_${name}_INCLUDE)
  _ferry_capability(${name} "" ${files} ${libraries})
  if(FERRY_${name}_INCLUDE AND NOT "${libraries}" MATCHES NOTFOUND)
    add_library(ferry_${name} INTERFACE)
    add_library(ferry::${name} ALIAS ferry_${name})
    target_include_directories(ferry_${name} SYSTEM INTERFACE ${FERRY_${name}_INCLUDE})
    target_link_libraries(ferry_${name} INTERFACE ${libraries})
  endif()
endfunction()

# A package whose CMake files or Find module made TARGET.
function(_ferry_package name target header)
  set(files NOTFOUND)
  if(TARGET ${target})
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    find_file(files ${header} HINTS ${folders} ENV CPATH NO_CACHE)
    get_target_property(type ${target} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      get_target_property(library ${target} LOCATION)
      list(APPEND files ${library})
    endif()
  endif()
  _ferry_capability(${name} "" ${files})
endfunction()

check_cxx_source_compiles("
  #include <concepts>
  #include <source_location>
  #include <span>
  unsigned line(std::source_location place = std::source_location::current()) { return place.line(); }
  int main(int count, char** words) { return std::span<char*>(words, count).size() == line(); }" FERRY_CXX20)
set(_ferry_compiler ${CMAKE_C_COMPILER} ${CMAKE_CXX_COMPILER})
if(NOT FERRY_CXX20)
  set(_ferry_compiler NOTFOUND)
endif()
_ferry_capability(compiler "${CMAKE_CXX_COMPILER} does not compile C++20" ${_ferry_compiler})

find_package(PkgConfig QUIET)
find_package(MPI QUIET COMPONENTS C)
set(_ferry_mpi NOTFOUND)
set(_ferry_mpi_note)
if(MPI_C_FOUND)
  set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
  check_symbol_exists(OPEN_MPI mpi.h FERRY_OPEN_MPI)
  unset(CMAKE_REQUIRED_LIBRARIES)
  if(FERRY_OPEN_MPI)
    set(_ferry_mpi ${MPI_C_HEADER_DIR}/mpi.h ${MPI_C_LIBRARIES} ${MPIEXEC_EXECUTABLE})
  else()
    set(_ferry_mpi_note "${MPI_C_HEADER_DIR}/mpi.h is another MPI's")
  endif()
endif()
_ferry_capability(mpi "${_ferry_mpi_note}" ${_ferry_mpi})

# Machines that have Boost's headers but not its libraries name a copy: <prefix>/include and <prefix>/lib.
set(FERRY_BOOST_PREFIX "$ENV{FERRY_BOOST_PREFIX}" CACHE PATH
  "A Boost with program_options, where the system's is not complete")
if(FERRY_BOOST_PREFIX)
  add_library(Boost::program_options STATIC IMPORTED)
  set_target_properties(Boost::program_options PROPERTIES
    IMPORTED_LOCATION ${FERRY_BOOST_PREFIX}/lib/libboost_program_options.a
    INTERFACE_INCLUDE_DIRECTORIES ${FERRY_BOOST_PREFIX}/include)
else()
  find_package(Boost 1.74 QUIET COMPONENTS program_options)
endif()
_ferry_package(boost Boost::program_options boost/program_options.hpp)

find_package(nlohmann_json QUIET)
_ferry_package(json nlohmann_json::nlohmann_json nlohmann/json.hpp)
find_package(fmt QUIET)
_ferry_package(fmt fmt::fmt fmt/core.h)
find_package(spdlog QUIET)
_ferry_package(spdlog spdlog::spdlog spdlog/spdlog.h)
find_package(PNG QUIET)
_ferry_package(png PNG::PNG png.h)
find_package(GTest QUIET)
_ferry_package(googletest GTest::gmock gmock/gmock.h)

_ferry_find_library(sentencepiece MODULES sentencepiece HEADER sentencepiece_processor.h LIBS sentencepiece)
_ferry_find_library(utf8proc STATIC MODULES libutf8proc HEADER utf8proc.h LIBS utf8proc)
_ferry_find_library(libav MODULES libavformat libavcodec libavutil libswscale HEADER libavformat/avformat.h
  LIBS avformat avcodec avutil swscale)
