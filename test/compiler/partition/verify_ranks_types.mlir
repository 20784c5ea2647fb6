// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// What a program cannot hold is refused before lowering relies on it.
module @plain_value {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{has a value of type 'i32', expected a ranked tensor}}
    func.func @f(%x: i32 {cleave.input = "x"}) {
      return
    }
  }
}

// -----

module @unranked {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{has a value of type 'tensor<*xf32>', expected a ranked tensor}}
    func.func @f(%x: tensor<*xf32> {cleave.input = "x"}) {
      return
    }
  }
}

// -----

module @element_type {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{has a value of type 'tensor<4xindex>', expected elements of type f32 f16 bf16}}
    func.func @f(%x: tensor<4xindex> {cleave.input = "x"}) {
      return
    }
  }
}

// -----

module @many_dims {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{which has more than 8 dimensions}}
    func.func @f(%x: tensor<1x1x1x1x1x1x1x1x1xf32> {cleave.input = "x"}) {
      return
    }
  }
}

// -----

module @nameless_size {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32> {cleave.input = "x"}) {
      // expected-error@+1 {{has a value of type 'tensor<?xf32>' whose run-time sizes have no names}}
      %y = cleave.recv from 0 tag 0 : tensor<?xf32>
      return
    }
  }
}

// -----

module @too_large {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{which is larger than 281474976710656 bytes}}
    func.func @f(%x: tensor<9223372036854775807x0x9223372036854775807xf32> {cleave.input = "x"}) {
      return
    }
  }
}

// -----

module @large_weight {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{which is larger than 281474976710656 bytes}}
    cleave.weight @w : tensor<8000000000x3200000000xf32> from random<1>
  }
}

// -----

module @no_body {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{has no body}}
    func.func private @f(tensor<4xf32>)
  }
}

// -----

module @stage {
  // expected-error@+1 {{a rank's module has stage 1, expected 0 to 0}}
  module @rank0 attributes {cleave.rank = 0 : i64, cleave.stage = 1 : i64} {
    func.func @f() {
      return
    }
  }
}

// -----

// expected-error@+1 {{has attribute 'cleave.coordinate' = {tp = "x"}, expected an integer for each axis}}
module @rank0 attributes {cleave.coordinate = {tp = "x"}} {
}

// -----

// expected-error@+1 {{which are too large}}
cleave.mesh @mesh <"a" = 2, "b" = 2> shares {a = array<i64: 4611686018427387904, 1>, b = array<i64: 1, 1>}
