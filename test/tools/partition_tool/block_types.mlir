// Every block type, with weights made from a seed, cut inside its blocks.
// RUN: partition-tool %s --tp 2 --check 2>&1 | FileCheck %s

// CHECK:      check: entry 'all', 2 ranks against the model
// CHECK-NEXT:   q8_0  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q4_0  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q4_1  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q5_0  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q5_1  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q4_k  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q5_k  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}
// CHECK-NEXT:   q6_k  largest difference {{[^:]*}}, tolerance {{[0-9.e-]+}}{{$}}

#n = #cleave.dims<n>
cleave.weight @up : tensor<32x8xf32> from random<0> split [#cleave.split<column "tp">]
cleave.weight @wide_up : tensor<256x8xf32> from random<1> split [#cleave.split<column "tp">]
cleave.weight @q8_0 : tensor<6x32x!cleave.q8_0> from random<2> split [#cleave.split<row "tp">]
cleave.weight @q4_0 : tensor<6x32x!cleave.q4_0> from random<3> split [#cleave.split<row "tp">]
cleave.weight @q4_1 : tensor<6x32x!cleave.q4_1> from random<4> split [#cleave.split<row "tp">]
cleave.weight @q5_0 : tensor<6x32x!cleave.q5_0> from random<5> split [#cleave.split<row "tp">]
cleave.weight @q5_1 : tensor<6x32x!cleave.q5_1> from random<6> split [#cleave.split<row "tp">]
cleave.weight @q4_k : tensor<6x256x!cleave.q4_k> from random<7> split [#cleave.split<row "tp">]
cleave.weight @q5_k : tensor<6x256x!cleave.q5_k> from random<8> split [#cleave.split<row "tp">]
cleave.weight @q6_k : tensor<6x256x!cleave.q6_k> from random<9> split [#cleave.split<row "tp">]

func.func @all(%x: tensor<?x8xf32, #n> {cleave.input = "x"})
    -> (tensor<?x6xf32, #n> {cleave.output = "q8_0"},
        tensor<?x6xf32, #n> {cleave.output = "q4_0"},
        tensor<?x6xf32, #n> {cleave.output = "q4_1"},
        tensor<?x6xf32, #n> {cleave.output = "q5_0"},
        tensor<?x6xf32, #n> {cleave.output = "q5_1"},
        tensor<?x6xf32, #n> {cleave.output = "q4_k"},
        tensor<?x6xf32, #n> {cleave.output = "q5_k"},
        tensor<?x6xf32, #n> {cleave.output = "q6_k"}) {
  %w_up = cleave.use @up : tensor<32x8xf32>
  %up = cleave.linear %x, %w_up {cleave.name = "up"}
    : (tensor<?x8xf32, #n>, tensor<32x8xf32>) -> tensor<?x32xf32, #n>
  %w_wide_up = cleave.use @wide_up : tensor<256x8xf32>
  %wide_up = cleave.linear %x, %w_wide_up {cleave.name = "wide_up"}
    : (tensor<?x8xf32, #n>, tensor<256x8xf32>) -> tensor<?x256xf32, #n>
  %w_q8_0 = cleave.use @q8_0 : tensor<6x32x!cleave.q8_0>
  %q8_0 = cleave.linear %up, %w_q8_0 {cleave.name = "q8_0"} : (tensor<?x32xf32, #n>, tensor<6x32x!cleave.q8_0>) -> tensor<?x6xf32, #n>
  %w_q4_0 = cleave.use @q4_0 : tensor<6x32x!cleave.q4_0>
  %q4_0 = cleave.linear %up, %w_q4_0 {cleave.name = "q4_0"} : (tensor<?x32xf32, #n>, tensor<6x32x!cleave.q4_0>) -> tensor<?x6xf32, #n>
  %w_q4_1 = cleave.use @q4_1 : tensor<6x32x!cleave.q4_1>
  %q4_1 = cleave.linear %up, %w_q4_1 {cleave.name = "q4_1"} : (tensor<?x32xf32, #n>, tensor<6x32x!cleave.q4_1>) -> tensor<?x6xf32, #n>
  %w_q5_0 = cleave.use @q5_0 : tensor<6x32x!cleave.q5_0>
  %q5_0 = cleave.linear %up, %w_q5_0 {cleave.name = "q5_0"} : (tensor<?x32xf32, #n>, tensor<6x32x!cleave.q5_0>) -> tensor<?x6xf32, #n>
  %w_q5_1 = cleave.use @q5_1 : tensor<6x32x!cleave.q5_1>
  %q5_1 = cleave.linear %up, %w_q5_1 {cleave.name = "q5_1"} : (tensor<?x32xf32, #n>, tensor<6x32x!cleave.q5_1>) -> tensor<?x6xf32, #n>
  %w_q4_k = cleave.use @q4_k : tensor<6x256x!cleave.q4_k>
  %q4_k = cleave.linear %wide_up, %w_q4_k {cleave.name = "q4_k"} : (tensor<?x256xf32, #n>, tensor<6x256x!cleave.q4_k>) -> tensor<?x6xf32, #n>
  %w_q5_k = cleave.use @q5_k : tensor<6x256x!cleave.q5_k>
  %q5_k = cleave.linear %wide_up, %w_q5_k {cleave.name = "q5_k"} : (tensor<?x256xf32, #n>, tensor<6x256x!cleave.q5_k>) -> tensor<?x6xf32, #n>
  %w_q6_k = cleave.use @q6_k : tensor<6x256x!cleave.q6_k>
  %q6_k = cleave.linear %wide_up, %w_q6_k {cleave.name = "q6_k"} : (tensor<?x256xf32, #n>, tensor<6x256x!cleave.q6_k>) -> tensor<?x6xf32, #n>
  return %q8_0, %q4_0, %q4_1, %q5_0, %q5_1, %q4_k, %q5_k, %q6_k
    : tensor<?x6xf32, #n>, tensor<?x6xf32, #n>, tensor<?x6xf32, #n>, tensor<?x6xf32, #n>,
      tensor<?x6xf32, #n>, tensor<?x6xf32, #n>, tensor<?x6xf32, #n>, tensor<?x6xf32, #n>
}
