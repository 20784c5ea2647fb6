// Sizes that are known only at run time, as expressions over named symbols: `past+seq`,
// `2*batch*seq`, `(seq+1)//2`. Compiler and runtime share this one form: what stands in
// `#cleave.dims`, in a program's symbols and in the manifest is its text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// The least and the most that a size can be; saturated, so that `least` may stand for
/// anything below and `most` for anything above.
struct SizeRange {
  static constexpr int64_t unbounded = std::numeric_limits<int64_t>::max();
  int64_t least = 0;
  int64_t most = unbounded;
  bool operator==(const SizeRange &) const = default;
};

/// A polynomial with integer coefficients over symbols, floor divisions by positive constants,
/// and `max` and `min` of a polynomial and a constant. Symbols stand for sizes: they are not
/// negative. Equal expressions have equal sizes; equal polynomials are equal expressions, and
/// so are floor divisions that differ by multiples of their divisor.
///
/// Expressions are bounded (64 terms of degree 8, 8 divisions deep, 960 bytes of text), so that
/// a hostile file cannot make them grow.
class SizeExpression {
public:
  static constexpr size_t maxTerms = 64;
  static constexpr size_t maxDegree = 8;
  static constexpr unsigned maxDepth = 8;
  static constexpr size_t maxTextLength = 960;

  SizeExpression(int64_t constant = 0);

  /// Nothing unless `name` is a letter or `_`, then letters, digits, `_` and `.`.
  static std::optional<SizeExpression> symbol(std::string_view name);

  /// Reads `+`, `-`, `*`, `//` (floor division, by a positive constant or without remainder),
  /// parentheses, `max(a, b)` and `min(a, b)`, in any form. Nothing, and why in `error`, where
  /// that is not what `text` is, or it is too large.
  static std::optional<SizeExpression> parse(std::string_view text, std::string *error = nullptr);

  /// The one text of this expression, without blanks.
  std::string text() const;

  /// The value where it is no matter what the symbols are.
  std::optional<int64_t> constant() const;

  /// The symbols' names, each once, in alphabetical order.
  std::vector<std::string> symbols() const;

  /// The value, nothing where a symbol has none or a step overflows.
  std::optional<int64_t>
  evaluate(const std::function<std::optional<int64_t>(std::string_view)> &valueOf) const;

  /// A range that holds all values; not always the smallest.
  SizeRange range(const std::function<SizeRange(std::string_view)> &rangeOf) const;

  /// Whether the value is at least 0 whatever the symbols are; `false` may mean unknown.
  bool isNonNegative() const;

  /// With expressions in place of the symbols for which `valueOf` has one. Nothing where the
  /// result is too large.
  std::optional<SizeExpression>
  substitute(const std::function<std::optional<SizeExpression>(std::string_view)> &valueOf) const;

  /// The value of symbol `name` with which this expression is `value`, the other symbols being
  /// known. Nothing where the expression is not linear in it or no such size exists.
  std::optional<int64_t>
  solve(std::string_view name, int64_t value,
        const std::function<std::optional<int64_t>(std::string_view)> &valueOf) const;

  bool operator==(const SizeExpression &other) const;

private:
  struct Atom;
  using AtomPtr = std::shared_ptr<const Atom>;
  /// A product of atoms in the order of their texts, each as often as its power.
  using Monomial = std::vector<AtomPtr>;
  /// Higher degrees first, then by text; the constant is last.
  struct MonomialOrder {
    bool operator()(const Monomial &a, const Monomial &b) const;
  };
  using Terms = std::map<Monomial, int64_t, MonomialOrder>;
  friend struct SizeArithmetic;

  Terms terms; ///< no coefficient is 0
};

/// What arithmetic on sizes takes and gives: nothing in, nothing out, and nothing where the
/// result is too large, so that operations can be chained.
using MaybeSize = std::optional<SizeExpression>;

MaybeSize sizeSum(const MaybeSize &a, const MaybeSize &b);
MaybeSize sizeDifference(const MaybeSize &a, const MaybeSize &b);
MaybeSize sizeProduct(const MaybeSize &a, const MaybeSize &b);
MaybeSize sizeMax(const MaybeSize &a, const MaybeSize &b);
MaybeSize sizeMin(const MaybeSize &a, const MaybeSize &b);
/// Nothing where the divisor is not positive.
MaybeSize sizeFloorDiv(const MaybeSize &a, int64_t divisor);
MaybeSize sizeCeilDiv(const MaybeSize &a, int64_t divisor);
/// The expression that times `b` is `a`: nothing where there is none.
MaybeSize sizeQuotient(const MaybeSize &a, const MaybeSize &b);

} // namespace cleave
