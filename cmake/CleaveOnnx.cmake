# The schema of ONNX files, compiled: the library cleave-onnx-proto. The schema is onnx-ml.proto of
# the PyPI package onnx, for Debian's predates device annotations. Set-up installs the package into
# build/venv, as tests do theirs; here it is installed where that was not done yet.
set(CLEAVE_ONNX_PROTO "" CACHE FILEPATH "onnx-ml.proto, 1.18 or newer; empty: that of the PyPI package onnx")

function(cleave_find_onnx_proto result)
  set(venv "${CMAKE_BINARY_DIR}/venv")
  set(pattern "${venv}/lib/python3*/site-packages/onnx/onnx-ml.proto")
  file(GLOB found "${pattern}")
  if(NOT found)
    message(STATUS "Installing the PyPI package onnx, for its schema, in ${venv}")
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    set(status 0)
    set(output "")
    if(NOT EXISTS "${venv}/bin/python")
      execute_process(COMMAND "${Python3_EXECUTABLE}" -m venv "${venv}"
        RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    endif()
    if(status EQUAL 0)
      # Its schema alone: what the package itself needs comes with the tests' packages.
      execute_process(
        COMMAND "${venv}/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "onnx>=1.18"
        RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    endif()
    file(GLOB found "${pattern}")
  endif()
  if(NOT found)
    message(FATAL_ERROR
      "onnx-ml.proto, the schema of ONNX files, is missing, and the PyPI package onnx that has it "
      "could not be installed:\n${output}\n"
      "Without a network, take onnx-ml.proto from any onnx package of version 1.18 or newer and "
      "say -DCLEAVE_ONNX_PROTO=<path of onnx-ml.proto>.")
  endif()
  list(GET found 0 found)
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

set(cleave_onnx_proto "${CLEAVE_ONNX_PROTO}")
if(NOT cleave_onnx_proto)
  cleave_find_onnx_proto(cleave_onnx_proto)
elseif(NOT EXISTS "${cleave_onnx_proto}")
  message(FATAL_ERROR "CLEAVE_ONNX_PROTO names ${cleave_onnx_proto}, which does not exist")
endif()
find_package(Protobuf REQUIRED)

# Under a name of ours, whatever the file's own.
set(cleave_onnx_folder "${CMAKE_BINARY_DIR}/runtime/program")
configure_file("${cleave_onnx_proto}" "${cleave_onnx_folder}/onnx.proto" COPYONLY)
add_custom_command(
  OUTPUT "${cleave_onnx_folder}/onnx.pb.h" "${cleave_onnx_folder}/onnx.pb.cc"
  COMMAND protobuf::protoc "--cpp_out=${cleave_onnx_folder}" "-I${cleave_onnx_folder}"
          "${cleave_onnx_folder}/onnx.proto"
  DEPENDS "${cleave_onnx_folder}/onnx.proto")
add_library(cleave-onnx-proto STATIC "${cleave_onnx_folder}/onnx.pb.cc" "${cleave_onnx_folder}/onnx.pb.h")
set_target_properties(cleave-onnx-proto PROPERTIES COMPILE_OPTIONS "-w")
# Lite: the schema asks for it, and a worker node needs no more.
target_link_libraries(cleave-onnx-proto PUBLIC protobuf::libprotobuf-lite)
