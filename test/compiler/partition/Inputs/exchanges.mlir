// Shares of one dim that become shares of another, and shares cut elsewhere.
module @exchanges {
  cleave.mesh @mesh <"a" = 2, "b" = 2>
  func.func @step(%x: tensor<8x12xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{"a", "b"}, {}]>}) -> (tensor<8x12xf32> {cleave.output = "y"}) {
    %0 = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{"a", "b"}, {}]>]} : tensor<8x12xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{"a"}, {"b"}]>]} : tensor<8x12xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{"a"}, {"b"}]>]} : tensor<8x12xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{"a"}, {"b" : [0:5, 5:12]}]>]} : tensor<8x12xf32>
    %4 = cleave.silu %3 {cleave.sharding = [#cleave.sharding<[{"a"}, {"b" : [0:5, 5:12]}]>]} : tensor<8x12xf32>
    %5 = cleave.reshard %4 {cleave.sharding = [#cleave.sharding<[{"a", "b"}, {}]>]} : tensor<8x12xf32>
    %6 = cleave.silu %5 {cleave.sharding = [#cleave.sharding<[{"a", "b"}, {}]>]} : tensor<8x12xf32>
    %7 = cleave.reshard %6 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<8x12xf32>
    return %7 : tensor<8x12xf32>
  }
}
