// The canonical form of sizes: how sums, products, divisions and maxima are brought into it,
// and what can be computed from it. Its text is read in size_parser.cpp.
#include "runtime/program/size_expression.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace cleave {

/// What a polynomial is made of beside numbers: a symbol, or what no polynomial can say.
struct SizeExpression::Atom {
  enum class Kind { symbol, floorDiv, max, min };
  Kind kind;
  std::string text;        ///< also the key by which atoms are ordered and compared
  SizeExpression argument; ///< of all but symbols
  int64_t number = 0;      ///< the divisor, or the other argument
  unsigned depth = 0;
};

namespace {

constexpr int64_t infinity = SizeRange::unbounded;
constexpr int64_t minusInfinity = std::numeric_limits<int64_t>::min();

int64_t saturatingAdd(int64_t a, int64_t b, int64_t ifOpposed) {
  bool low = a == minusInfinity || b == minusInfinity, high = a == infinity || b == infinity;
  if (low && high)
    return ifOpposed;
  int64_t sum = 0;
  if (low || high)
    return low ? minusInfinity : infinity;
  return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? minusInfinity : infinity) : sum;
}

int64_t saturatingMultiply(int64_t a, int64_t b) {
  if (a == 0 || b == 0)
    return 0;
  bool isInfinite = a == minusInfinity || b == minusInfinity || a == infinity || b == infinity;
  int64_t product = 0;
  if (isInfinite || __builtin_mul_overflow(a, b, &product))
    return (a < 0) != (b < 0) ? minusInfinity : infinity;
  return product;
}

SizeRange add(SizeRange a, SizeRange b) {
  return {saturatingAdd(a.least, b.least, minusInfinity), saturatingAdd(a.most, b.most, infinity)};
}

SizeRange multiply(SizeRange a, SizeRange b) {
  int64_t corners[] = {saturatingMultiply(a.least, b.least), saturatingMultiply(a.least, b.most),
                       saturatingMultiply(a.most, b.least), saturatingMultiply(a.most, b.most)};
  auto [least, most] = std::minmax_element(std::begin(corners), std::end(corners));
  return {*least, *most};
}

int64_t floorDivide(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

int64_t floorDivideSaturated(int64_t a, int64_t b) {
  return a == infinity || a == minusInfinity ? a : floorDivide(a, b);
}

} // namespace

/// The arithmetic; a friend, so that the header need not name its parts.
struct SizeArithmetic {
  using Atom = SizeExpression::Atom;
  using AtomPtr = SizeExpression::AtomPtr;
  using Monomial = SizeExpression::Monomial;
  using Terms = SizeExpression::Terms;

  static bool isFloorDiv(const AtomPtr &atom) { return atom->kind == Atom::Kind::floorDiv; }

  /// Whether a term is a floor division, a maximum or a minimum, and no product.
  static bool isOneAtom(const Monomial &monomial) {
    return monomial.size() == 1 && monomial[0]->kind != Atom::Kind::symbol;
  }

  /// Whether a term is a floor division alone, and not a factor of a product.
  static bool isSingleFloorDiv(const Monomial &monomial) {
    return monomial.size() == 1 && isFloorDiv(monomial[0]);
  }

  static unsigned depthOf(const SizeExpression &size) {
    unsigned depth = 0;
    for (const auto &[monomial, coefficient] : size.terms)
      for (const AtomPtr &atom : monomial)
        depth = std::max(depth, atom->depth);
    return depth;
  }

  /// Whether there is room for it.
  static bool addTerm(Terms &terms, const Monomial &monomial, int64_t coefficient) {
    int64_t &sum = terms[monomial];
    if (__builtin_add_overflow(sum, coefficient, &sum))
      return false;
    if (sum == 0)
      terms.erase(monomial);
    return true;
  }

  /// Adds `factor` times `from`.
  static bool addScaled(Terms &terms, const SizeExpression &from, int64_t factor) {
    for (const auto &[monomial, coefficient] : from.terms) {
      int64_t product = 0;
      if (__builtin_mul_overflow(coefficient, factor, &product) ||
          !addTerm(terms, monomial, product))
        return false;
    }
    return true;
  }

  static MaybeSize sum(const SizeExpression &a, const SizeExpression &b, int64_t factor) {
    SizeExpression result = a;
    if (!addScaled(result.terms, b, factor))
      return std::nullopt;
    return finish(std::move(result));
  }

  static int64_t constantOf(const SizeExpression &size) {
    auto it = size.terms.find({});
    return it == size.terms.end() ? 0 : it->second;
  }

  static SizeExpression withoutConstant(SizeExpression size) {
    size.terms.erase(Monomial());
    return size;
  }

  static SizeExpression fromAtom(AtomPtr atom) {
    SizeExpression result;
    result.terms.emplace(Monomial{std::move(atom)}, 1);
    return result;
  }

  static std::string textOfFactor(const AtomPtr &atom, bool isAlone) {
    return isFloorDiv(atom) && !isAlone ? "(" + atom->text + ")" : atom->text;
  }

  /// Null where it is nested too deep.
  static AtomPtr makeAtom(Atom::Kind kind, SizeExpression argument, int64_t number) {
    auto atom = std::make_shared<Atom>();
    atom->kind = kind;
    atom->depth = depthOf(argument) + 1;
    if (atom->depth > SizeExpression::maxDepth)
      return nullptr;
    std::string inner = argument.text(), of = std::to_string(number);
    if (kind == Atom::Kind::floorDiv) {
      const auto &[monomial, coefficient] = *argument.terms.begin();
      bool isAtom = argument.terms.size() == 1 && coefficient == 1 && monomial.size() == 1 &&
                    !isFloorDiv(monomial[0]);
      atom->text = (isAtom ? inner : "(" + inner + ")") + "//" + of;
    } else {
      atom->text = (kind == Atom::Kind::max ? "max(" : "min(") + inner + "," + of + ")";
    }
    atom->argument = std::move(argument);
    atom->number = number;
    return atom;
  }

  static MaybeSize finishAtom(AtomPtr atom) {
    return atom ? finish(fromAtom(std::move(atom))) : std::nullopt;
  }

  static bool holdsFloorDiv(const SizeExpression &size) {
    return std::any_of(size.terms.begin(), size.terms.end(), termHoldsFloorDiv);
  }

  static bool termHoldsFloorDiv(const Terms::value_type &term) {
    return std::any_of(term.first.begin(), term.first.end(), isFloorDiv);
  }

  /// Minus an atom as polynomial + another atom: -(s//2) is -s + (s+1)//2, and -max(s, 5) is
  /// -s - 5 + min(s, 5). Null where divisions are nested.
  struct Negative {
    SizeExpression polynomial;
    AtomPtr other;
  };
  static Negative negated(const Atom &atom) {
    if (atom.kind != Atom::Kind::floorDiv) {
      Negative result;
      result.other = makeAtom(atom.kind == Atom::Kind::max ? Atom::Kind::min : Atom::Kind::max,
                              atom.argument, atom.number);
      if (!addScaled(result.polynomial.terms, atom.argument, -1) ||
          !addScaled(result.polynomial.terms, atom.number, -1))
        return {};
      return result;
    }
    if (holdsFloorDiv(atom.argument))
      return {};
    // The coefficients of the argument are in 1..number-1, so that these are, too.
    Negative result;
    SizeExpression other(atom.number - 1 - constantOf(atom.argument));
    for (const auto &[monomial, coefficient] : atom.argument.terms)
      if (!monomial.empty()) {
        result.polynomial.terms[monomial] = -1;
        other.terms[monomial] = atom.number - coefficient;
      }
    result.other = makeAtom(Atom::Kind::floorDiv, std::move(other), atom.number);
    return result;
  }

  /// Changes one term of those that joinAtoms is about, if there is one. False where there
  /// is no room.
  static bool joinOneAtom(Terms &terms, bool &changed) {
    for (const auto &[monomial, count] : terms) {
      if (!isOneAtom(monomial))
        continue;
      Negative negative = negated(*monomial[0]);
      if (!negative.other)
        continue;
      if (count == minusInfinity)
        return false;
      Monomial own = monomial, other = {negative.other};
      int64_t change = -count, scale = -count;
      if (count > 0) { // own + other = -polynomial
        auto partner = terms.find(other);
        if (partner == terms.end() || partner->second < 0)
          continue;
        change = scale = -std::min(count, partner->second);
      }
      changed = true;
      return addTerm(terms, own, change) && addTerm(terms, other, change) &&
             addScaled(terms, negative.polynomial, scale);
    }
    return true;
  }

  /// Writes s - s//2 as (s+1)//2 and s//2 + (s+1)//2 as s: an atom alone has no negative
  /// coefficient, and does not stand beside the one that is its negative but for a polynomial.
  static bool joinAtoms(Terms &terms) {
    for (size_t round = 0; round < 2 * SizeExpression::maxTerms; ++round) {
      bool changed = false;
      if (!joinOneAtom(terms, changed))
        return false;
      if (!changed)
        return true;
    }
    return false;
  }

  /// The last step of each operation.
  static MaybeSize finish(SizeExpression size) {
    if (!joinAtoms(size.terms) || size.terms.size() > SizeExpression::maxTerms)
      return std::nullopt;
    for (const auto &[monomial, coefficient] : size.terms)
      if (monomial.size() > SizeExpression::maxDegree)
        return std::nullopt;
    if (size.text().size() > SizeExpression::maxTextLength)
      return std::nullopt;
    return size;
  }

  static MaybeSize multiply(const SizeExpression &a, const SizeExpression &b) {
    SizeExpression result;
    for (const auto &[left, leftCount] : a.terms)
      for (const auto &[right, rightCount] : b.terms) {
        Monomial product;
        std::merge(left.begin(), left.end(), right.begin(), right.end(),
                   std::back_inserter(product),
                   [](const AtomPtr &x, const AtomPtr &y) { return x->text < y->text; });
        int64_t count = 0;
        if (product.size() > SizeExpression::maxDegree ||
            __builtin_mul_overflow(leftCount, rightCount, &count) ||
            !addTerm(result.terms, product, count))
          return std::nullopt;
      }
    return finish(std::move(result));
  }

  static MaybeSize floorDiv(const SizeExpression &size, int64_t divisor) {
    if (divisor == 1)
      return size;
    // Multiples of the divisor go out, so that what is left has coefficients below it.
    SizeExpression quotient, rest;
    int64_t common = divisor;
    for (const auto &[monomial, coefficient] : size.terms) {
      int64_t whole = floorDivide(coefficient, divisor), left = coefficient - whole * divisor;
      if (whole != 0)
        quotient.terms[monomial] = whole;
      if (left != 0)
        rest.terms[monomial] = left;
      if (left != 0 && !monomial.empty())
        common = std::gcd(common, left);
    }
    if (rest.constant())
      return finish(std::move(quotient));
    SizeExpression reduced;
    for (const auto &[monomial, coefficient] : rest.terms)
      if (coefficient / common != 0)
        reduced.terms[monomial] = coefficient / common;
    divisor /= common;

    // (s//2 + m)//3 is (s + 2*m)//6, unless more floor divisions stand beside it.
    auto inner = std::find_if(reduced.terms.begin(), reduced.terms.end(), termHoldsFloorDiv);
    int64_t joined = 0;
    if (inner != reduced.terms.end() && inner->second == 1 && isSingleFloorDiv(inner->first) &&
        std::count_if(reduced.terms.begin(), reduced.terms.end(), termHoldsFloorDiv) == 1 &&
        !__builtin_mul_overflow(inner->first[0]->number, divisor, &joined)) {
      AtomPtr atom = inner->first[0];
      reduced.terms.erase(inner);
      MaybeSize dividend = sizeSum(atom->argument, sizeProduct(reduced, atom->number));
      return sizeSum(quotient, sizeFloorDiv(dividend, joined));
    }
    return sizeSum(quotient,
                   finishAtom(makeAtom(Atom::Kind::floorDiv, std::move(reduced), divisor)));
  }

  /// max(a, b) as b + max(a - b, 0), the constants outside.
  static MaybeSize max(const SizeExpression &a, const SizeExpression &b) {
    MaybeSize difference = sizeDifference(a, b), opposite = sizeDifference(b, a);
    if (!difference || !opposite)
      return std::nullopt;
    // Of two forms of the same, one may tell more.
    auto unknown = [](std::string_view) { return SizeRange(); };
    SizeRange range = difference->range(unknown), negative = opposite->range(unknown);
    if (range.least >= 0 || negative.most <= 0)
      return a;
    if (range.most <= 0 || negative.least >= 0)
      return b;
    int64_t offset = constantOf(*difference), common = offset;
    SizeExpression varying = withoutConstant(*difference);
    if (offset == minusInfinity)
      return std::nullopt;
    for (const auto &[monomial, coefficient] : varying.terms) {
      if (coefficient == minusInfinity)
        return std::nullopt;
      common = std::gcd(common, coefficient);
    }
    for (auto &[monomial, coefficient] : varying.terms)
      coefficient /= common;
    // The maximum is b + common * max(v, limit) + offset, or with the minimum of -v, whichever
    // is shorter.
    int64_t limit = -offset / common;
    MaybeSize negated = sizeDifference(0, varying);
    if (!negated)
      return std::nullopt;
    int64_t shift = constantOf(*negated), least = 0;
    *negated = withoutConstant(std::move(*negated));
    auto key = [](const SizeExpression &size) {
      return std::pair(size.text().size(), size.text());
    };
    MaybeSize extremum;
    if (key(varying) < key(*negated))
      extremum = finishAtom(makeAtom(Atom::Kind::max, std::move(varying), limit));
    else if (!__builtin_sub_overflow(-limit, shift, &least))
      extremum =
          sizeDifference(-shift, finishAtom(makeAtom(Atom::Kind::min, std::move(*negated), least)));
    return sizeSum(sizeSum(b, offset), sizeProduct(extremum, common));
  }

  static MaybeSize quotient(SizeExpression rest, const SizeExpression &by) {
    if (by.terms.empty())
      return std::nullopt;
    const auto &[lead, leadCount] = *by.terms.begin();
    SizeExpression result;
    // Each round takes the leading term away.
    for (size_t round = 0; !rest.terms.empty(); ++round) {
      const auto &[monomial, count] = *rest.terms.begin();
      auto inOrder = [](const AtomPtr &x, const AtomPtr &y) { return x->text < y->text; };
      SizeExpression step;
      Monomial left;
      std::set_difference(monomial.begin(), monomial.end(), lead.begin(), lead.end(),
                          std::back_inserter(left), inOrder);
      if (round == SizeExpression::maxTerms || left.size() + lead.size() != monomial.size() ||
          (leadCount == -1 && count == minusInfinity) || count % leadCount != 0)
        return std::nullopt;
      step.terms[left] = count / leadCount;
      result.terms[left] = count / leadCount;
      MaybeSize next = sizeDifference(rest, sizeProduct(step, by));
      if (!next)
        return std::nullopt;
      rest = std::move(*next);
    }
    return finish(std::move(result));
  }

  static std::optional<int64_t>
  valueOf(const Atom &atom,
          const std::function<std::optional<int64_t>(std::string_view)> &valueOfSymbol) {
    if (atom.kind == Atom::Kind::symbol)
      return valueOfSymbol(atom.text);
    std::optional<int64_t> value = atom.argument.evaluate(valueOfSymbol);
    if (!value)
      return std::nullopt;
    if (atom.kind == Atom::Kind::floorDiv)
      return floorDivide(*value, atom.number);
    return atom.kind == Atom::Kind::max ? std::max(*value, atom.number)
                                        : std::min(*value, atom.number);
  }

  static SizeRange rangeOf(const Atom &atom,
                           const std::function<SizeRange(std::string_view)> &rangeOfSymbol) {
    if (atom.kind == Atom::Kind::symbol)
      return rangeOfSymbol(atom.text);
    SizeRange range = atom.argument.range(rangeOfSymbol);
    if (atom.kind == Atom::Kind::floorDiv)
      return {floorDivideSaturated(range.least, atom.number),
              floorDivideSaturated(range.most, atom.number)};
    if (atom.kind == Atom::Kind::max)
      return {std::max(range.least, atom.number), std::max(range.most, atom.number)};
    return {std::min(range.least, atom.number), std::min(range.most, atom.number)};
  }

  static MaybeSize substituted(const Atom &atom,
                               const std::function<MaybeSize(std::string_view)> &valueOfSymbol) {
    if (atom.kind == Atom::Kind::symbol) {
      MaybeSize value = valueOfSymbol(atom.text);
      return value ? value : SizeExpression::symbol(atom.text);
    }
    MaybeSize argument = atom.argument.substitute(valueOfSymbol);
    if (atom.kind == Atom::Kind::floorDiv)
      return sizeFloorDiv(argument, atom.number);
    return atom.kind == Atom::Kind::max ? sizeMax(argument, atom.number)
                                        : sizeMin(argument, atom.number);
  }

  static void collectSymbols(const SizeExpression &size, std::set<std::string> &names) {
    for (const auto &[monomial, coefficient] : size.terms)
      for (const AtomPtr &atom : monomial)
        if (atom->kind == Atom::Kind::symbol)
          names.insert(atom->text);
        else
          collectSymbols(atom->argument, names);
  }
};

// ---- SizeExpression ----

bool SizeExpression::MonomialOrder::operator()(const Monomial &a, const Monomial &b) const {
  if (a.size() != b.size())
    return a.size() > b.size();
  return std::lexicographical_compare(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const AtomPtr &x, const AtomPtr &y) { return x->text < y->text; });
}

SizeExpression::SizeExpression(int64_t constant) {
  if (constant != 0)
    terms.emplace(Monomial(), constant);
}

std::optional<SizeExpression> SizeExpression::symbol(std::string_view name) {
  auto isLetter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  auto isInner = [&](char c) { return isLetter(c) || (c >= '0' && c <= '9') || c == '.'; };
  if (name.empty() || name.size() > maxTextLength || !isLetter(name[0]) ||
      !std::all_of(name.begin(), name.end(), isInner))
    return std::nullopt;
  auto atom = std::make_shared<Atom>();
  atom->kind = Atom::Kind::symbol;
  atom->text = name;
  return SizeArithmetic::fromAtom(std::move(atom));
}

std::string SizeExpression::text() const {
  if (terms.empty())
    return "0";
  std::string result;
  for (const auto &[monomial, coefficient] : terms) {
    std::string number = std::to_string(coefficient);
    bool isUnit = !monomial.empty() && (coefficient == 1 || coefficient == -1);
    if (isUnit)
      number.pop_back();
    if (coefficient > 0 && !result.empty())
      result += "+";
    result += number;
    for (size_t i = 0; i < monomial.size(); ++i) {
      result += i > 0 || !isUnit ? "*" : "";
      result += SizeArithmetic::textOfFactor(monomial[i], isUnit && monomial.size() == 1);
    }
  }
  return result;
}

std::optional<int64_t> SizeExpression::constant() const {
  if (terms.empty())
    return 0;
  if (terms.size() == 1 && terms.begin()->first.empty())
    return terms.begin()->second;
  return std::nullopt;
}

std::vector<std::string> SizeExpression::symbols() const {
  std::set<std::string> names;
  SizeArithmetic::collectSymbols(*this, names);
  return {names.begin(), names.end()};
}

std::optional<int64_t> SizeExpression::evaluate(
    const std::function<std::optional<int64_t>(std::string_view)> &valueOf) const {
  int64_t sum = 0;
  for (const auto &[monomial, coefficient] : terms) {
    int64_t product = coefficient;
    for (const AtomPtr &atom : monomial) {
      std::optional<int64_t> value = SizeArithmetic::valueOf(*atom, valueOf);
      if (!value || __builtin_mul_overflow(product, *value, &product))
        return std::nullopt;
    }
    if (__builtin_add_overflow(sum, product, &sum))
      return std::nullopt;
  }
  return sum;
}

SizeRange SizeExpression::range(const std::function<SizeRange(std::string_view)> &rangeOf) const {
  SizeRange sum{0, 0};
  for (const auto &[monomial, coefficient] : terms) {
    SizeRange product{coefficient, coefficient};
    for (const AtomPtr &atom : monomial)
      product = multiply(product, SizeArithmetic::rangeOf(*atom, rangeOf));
    sum = add(sum, product);
  }
  return sum;
}

bool SizeExpression::isNonNegative() const {
  return range([](std::string_view) { return SizeRange(); }).least >= 0;
}

std::optional<SizeExpression> SizeExpression::substitute(
    const std::function<std::optional<SizeExpression>(std::string_view)> &valueOf) const {
  MaybeSize sum = SizeExpression(0);
  for (const auto &[monomial, coefficient] : terms) {
    MaybeSize product = SizeExpression(coefficient);
    for (const AtomPtr &atom : monomial)
      product = sizeProduct(product, SizeArithmetic::substituted(*atom, valueOf));
    sum = sizeSum(sum, product);
  }
  return sum;
}

std::optional<int64_t> SizeExpression::solve(
    std::string_view name, int64_t value,
    const std::function<std::optional<int64_t>(std::string_view)> &valueOf) const {
  // this = factor * name + rest
  SizeExpression factor, rest;
  for (const auto &[monomial, coefficient] : terms) {
    auto isName = [&](const AtomPtr &atom) {
      return atom->kind == Atom::Kind::symbol && atom->text == name;
    };
    auto found = std::find_if(monomial.begin(), monomial.end(), isName);
    Monomial others = monomial;
    if (found != monomial.end())
      others.erase(others.begin() + (found - monomial.begin()));
    (found == monomial.end() ? rest : factor).terms.emplace(std::move(others), coefficient);
  }
  auto ofOthers = [&](std::string_view other) {
    return other == name ? std::nullopt : valueOf(other);
  };
  std::optional<int64_t> times = factor.evaluate(ofOthers), more = rest.evaluate(ofOthers);
  int64_t left = 0;
  if (!times || !more || *times == 0 || __builtin_sub_overflow(value, *more, &left) ||
      (*times == -1 && left == minusInfinity) || left % *times != 0 || left / *times < 0)
    return std::nullopt;
  return left / *times;
}

bool SizeExpression::operator==(const SizeExpression &other) const {
  return std::equal(
      terms.begin(), terms.end(), other.terms.begin(), other.terms.end(),
      [](const auto &a, const auto &b) {
        return a.second == b.second &&
               std::equal(a.first.begin(), a.first.end(), b.first.begin(), b.first.end(),
                          [](const AtomPtr &x, const AtomPtr &y) { return x->text == y->text; });
      });
}

// ---- Arithmetic ----

MaybeSize sizeSum(const MaybeSize &a, const MaybeSize &b) {
  if (!a || !b)
    return std::nullopt;
  return SizeArithmetic::sum(*a, *b, 1);
}

MaybeSize sizeDifference(const MaybeSize &a, const MaybeSize &b) {
  if (!a || !b)
    return std::nullopt;
  return SizeArithmetic::sum(*a, *b, -1);
}

MaybeSize sizeProduct(const MaybeSize &a, const MaybeSize &b) {
  if (!a || !b)
    return std::nullopt;
  return SizeArithmetic::multiply(*a, *b);
}

MaybeSize sizeFloorDiv(const MaybeSize &a, int64_t divisor) {
  if (!a || divisor < 1)
    return std::nullopt;
  return SizeArithmetic::floorDiv(*a, divisor);
}

MaybeSize sizeCeilDiv(const MaybeSize &a, int64_t divisor) {
  return divisor < 1 ? std::nullopt : sizeFloorDiv(sizeSum(a, divisor - 1), divisor);
}

MaybeSize sizeMax(const MaybeSize &a, const MaybeSize &b) {
  if (!a || !b)
    return std::nullopt;
  return SizeArithmetic::max(*a, *b);
}

MaybeSize sizeMin(const MaybeSize &a, const MaybeSize &b) {
  return sizeDifference(0, sizeMax(sizeDifference(0, a), sizeDifference(0, b)));
}

MaybeSize sizeQuotient(const MaybeSize &a, const MaybeSize &b) {
  if (!a || !b)
    return std::nullopt;
  return SizeArithmetic::quotient(*a, *b);
}

} // namespace cleave
