# Typed gRPC functions from .proto files. What they need is not needed by the libraries: without it, CCZ_STUBS_FOUND is false
# and what is made of stubs (a solution, an example, tests) is not built.
find_program(PROTOC protoc)
find_program(PROTOC_GEN_C protoc-gen-c)
find_program(PYTHON3 python3)
pkg_check_modules(PROTOBUF_C IMPORTED_TARGET libprotobuf-c)
set(CCZ_STUBS_FOUND FALSE)
if(PROTOC AND PROTOC_GEN_C AND PYTHON3 AND PROTOBUF_C_FOUND)
  set(CCZ_STUBS_FOUND TRUE)
else()
  message(STATUS "No protoc, protoc-gen-c, python3 or libprotobuf-c: stubs and what uses them are not built")
endif()

# ccz_stubs(<target> PROTOS <file>... [FROM <folder>]): object library of protobuf-c's and our files; link it. Files are named as
# they import each other, beginning in FROM (the current folder).
function(ccz_stubs target)
  cmake_parse_arguments(S "" "FROM" "PROTOS" ${ARGN})
  if(NOT S_FROM)
    set(S_FROM ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/${target})
  set(made)
  foreach(p IN LISTS S_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem ${p})
    list(APPEND made ${dir}/${stem}.pb-c.c ${dir}/${stem}.ccz-rpc.c)
  endforeach()
  set(protos ${S_PROTOS})
  list(TRANSFORM protos PREPEND ${S_FROM}/)
  set(tool ${PROJECT_SOURCE_DIR}/tools)
  add_custom_command(OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${dir}
    COMMAND ${PROTOC} --plugin=protoc-gen-ccz=${tool}/protoc-gen-ccz --ccz_out=messages,descriptors:${dir} -I ${S_FROM} ${S_PROTOS}
    DEPENDS ${protos} ${tool}/protoc-gen-ccz ${tool}/ccz_proto.py ${tool}/ccz_stubs.py
    COMMENT "Stubs of ${S_PROTOS}" VERBATIM)
  add_library(${target} OBJECT ${made})
  target_include_directories(${target} PUBLIC ${dir} ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(${target} PRIVATE ${CCZ_WARNINGS})
  target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()
