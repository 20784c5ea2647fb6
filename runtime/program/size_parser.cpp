// Reads the text of a size, which may come from a user or a hostile file.
#include "runtime/program/size_expression.h"

#include <cctype>

namespace cleave {

namespace {

/// Deeper parentheses than this are a mistake.
constexpr unsigned maxNesting = 32;

class SizeParser {
public:
  explicit SizeParser(std::string_view text) : text(text) {}

  MaybeSize parse(std::string &why) {
    MaybeSize result;
    if (text.size() > SizeExpression::maxTextLength)
      error = "it is longer than " + std::to_string(SizeExpression::maxTextLength) + " bytes";
    else
      result = parseSum(0);
    skipBlanks();
    if (result && at < text.size())
      expected("an operator");
    if (!result && error.empty())
      error = "it is too large";
    why = error;
    return error.empty() ? result : std::nullopt;
  }

private:
  void skipBlanks() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t'))
      ++at;
  }

  bool take(std::string_view token) {
    skipBlanks();
    if (!text.substr(at).starts_with(token))
      return false;
    at += token.size();
    return true;
  }

  MaybeSize expected(const std::string &what) {
    skipBlanks();
    if (error.empty())
      error = "expected " + what + " at character " + std::to_string(at + 1);
    return std::nullopt;
  }

  /// [-] product {(+|-) product}
  MaybeSize parseSum(unsigned depth) {
    if (depth > maxNesting) {
      error = "it is nested too deep";
      return std::nullopt;
    }
    MaybeSize sum = take("-") ? sizeDifference(0, parseProduct(depth)) : parseProduct(depth);
    while (sum)
      if (take("+"))
        sum = sizeSum(sum, parseProduct(depth));
      else if (take("-"))
        sum = sizeDifference(sum, parseProduct(depth));
      else
        break;
    return sum;
  }

  /// factor {(*|//) factor}
  MaybeSize parseProduct(unsigned depth) {
    MaybeSize product = parseFactor(depth);
    while (product)
      if (take("*")) {
        product = sizeProduct(product, parseFactor(depth));
      } else if (take("//")) {
        MaybeSize by = parseFactor(depth);
        if (!by)
          return std::nullopt;
        std::optional<int64_t> divisor = by->constant();
        if (divisor && *divisor < 1)
          return expected("a positive divisor before");
        product = divisor ? sizeFloorDiv(product, *divisor) : sizeQuotient(product, by);
        if (!product && !divisor)
          return expected("a divisor without remainder before");
      } else {
        break;
      }
    return product;
  }

  MaybeSize parseFactor(unsigned depth) {
    skipBlanks();
    if (take("(")) {
      MaybeSize inner = parseSum(depth + 1);
      return !inner || take(")") ? inner : expected("')'");
    }
    if (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])))
      return parseNumber();
    size_t begin = at;
    while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) ||
                                text[at] == '_' || text[at] == '.'))
      ++at;
    std::string_view name = text.substr(begin, at - begin);
    if ((name == "max" || name == "min") && take("("))
      return parseExtremum(name == "max", depth + 1);
    MaybeSize symbol = SizeExpression::symbol(name);
    if (!symbol)
      at = begin;
    return symbol ? symbol : expected("a name, a number or '('");
  }

  MaybeSize parseNumber() {
    int64_t number = 0;
    for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at)
      if (__builtin_mul_overflow(number, 10, &number) ||
          __builtin_add_overflow(number, text[at] - '0', &number))
        return expected("a smaller number");
    return number;
  }

  MaybeSize parseExtremum(bool isMax, unsigned depth) {
    MaybeSize a = parseSum(depth);
    if (a && !take(","))
      return expected("','");
    MaybeSize b = a ? parseSum(depth) : std::nullopt;
    if (b && !take(")"))
      return expected("')'");
    return isMax ? sizeMax(a, b) : sizeMin(a, b);
  }

  std::string_view text;
  size_t at = 0;
  std::string error;
};

} // namespace

std::optional<SizeExpression> SizeExpression::parse(std::string_view text, std::string *error) {
  std::string why;
  MaybeSize result = SizeParser(text).parse(why);
  if (error)
    *error = why;
  return result;
}

} // namespace cleave
