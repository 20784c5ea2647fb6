// Sizes as expressions: that equal sizes have equal text, that the text can be read again, what
// is computed from it, and that nothing can make it grow without bound.
#include "runtime/program/size_expression.h"

#include <array>
#include <gtest/gtest.h>

namespace cleave {
namespace {

SizeExpression read(std::string_view text) {
  std::string error;
  MaybeSize size = SizeExpression::parse(text, &error);
  EXPECT_TRUE(size) << text << ": " << error;
  return size.value_or(0);
}

std::string canonical(std::string_view text) {
  return read(text).text();
}

std::string errorOf(std::string_view text) {
  std::string error;
  EXPECT_FALSE(SizeExpression::parse(text, &error)) << text;
  return error;
}

/// a = 5, b = 7, past = 3, seq = 10
std::optional<int64_t> someValue(std::string_view name) {
  if (name == "a")
    return 5;
  if (name == "b")
    return 7;
  if (name == "past")
    return 3;
  return name == "seq" ? std::optional<int64_t>(10) : std::nullopt;
}

TEST(SizeExpression, EqualSizesHaveOneText) {
  EXPECT_EQ(canonical("seq + past"), "past+seq");
  EXPECT_EQ(canonical("seq*2*batch"), "2*batch*seq");
  EXPECT_EQ(canonical("a*(b+1) - a*b"), "a");
  EXPECT_EQ(canonical("(a+b)*(a-b)"), "a*a-b*b");
  EXPECT_EQ(canonical("1 + b*c + a + 2"), "b*c+a+3");
  EXPECT_EQ(canonical("5-seq"), "-seq+5");
  EXPECT_EQ(canonical("a - a"), "0");
  EXPECT_EQ(canonical("seq.len_1"), "seq.len_1");
}

TEST(SizeExpression, FloorDivisionsGiveOutWholeMultiples) {
  EXPECT_EQ(canonical("(seq+1)//2"), "(seq+1)//2");
  EXPECT_EQ(canonical("(seq-1)//2 + 1"), "(seq+1)//2");
  EXPECT_EQ(canonical("(5*s + 7)//3"), "(2*s+1)//3+s+2");
  EXPECT_EQ(canonical("(6*batch*seq)//3"), "2*batch*seq");
  EXPECT_EQ(canonical("(2*s+1)//4"), "s//2");
  EXPECT_EQ(canonical("s//2//2"), "s//4");
  EXPECT_EQ(canonical("(s//2 + 1)//3"), "(s+2)//6");
  EXPECT_EQ(canonical("7//2"), "3");
  EXPECT_EQ(canonical("(0-7)//2"), "-4");
  EXPECT_EQ(canonical("batch*seq//batch"), "seq");
}

TEST(SizeExpression, HalvesOfASizeAddUp) {
  EXPECT_EQ(canonical("s - s//2"), "(s+1)//2");
  EXPECT_EQ(canonical("s - (s+1)//2"), "s//2");
  EXPECT_EQ(canonical("s//2 + (s+1)//2"), "s");
  EXPECT_EQ(canonical("3*(s//3) + 2*((2*s+2)//3)"), canonical("s//3 + 2*s"));
  EXPECT_EQ(sizeCeilDiv(read("s"), 3)->text(), "(s+2)//3");
  EXPECT_EQ(sizeDifference(0, sizeFloorDiv(sizeDifference(0, read("s")), 3)),
            sizeCeilDiv(read("s"), 3));
}

TEST(SizeExpression, ProductsBindAsInPython) {
  EXPECT_EQ(canonical("2*s//3"), "(2*s)//3");
  EXPECT_EQ(canonical("2*(s//3)"), "2*(s//3)");
  EXPECT_EQ(canonical("s//3*t"), "(s//3)*t");
}

TEST(SizeExpression, MaximaOfWhatIsKnownGoAway) {
  EXPECT_EQ(canonical("max(past+seq, seq)"), "past+seq");
  EXPECT_EQ(canonical("min(past+seq, seq)"), "seq");
  EXPECT_EQ(canonical("max(seq, 0)"), "seq");
  EXPECT_EQ(canonical("max(seq-1, 0)"), "max(seq,1)-1");
  EXPECT_EQ(canonical("min(seq, 512)"), "min(seq,512)");
  EXPECT_EQ(canonical("min(2*seq, 512)"), "2*min(seq,256)");
  EXPECT_EQ(canonical("min(a, b)"), canonical("min(b, a)"));
  EXPECT_EQ(canonical("max(a, b) + min(a, b)"), "a+b");
  EXPECT_EQ(canonical("max(3, 8)"), "8");
}

TEST(SizeExpression, QuotientsHaveNoRemainder) {
  EXPECT_EQ(sizeQuotient(read("2*batch*seq*64"), read("batch*64"))->text(), "2*seq");
  EXPECT_EQ(sizeQuotient(read("a*a-b*b"), read("a-b"))->text(), "a+b");
  EXPECT_EQ(sizeQuotient(read("batch*past+batch*seq"), read("past+seq"))->text(), "batch");
  EXPECT_FALSE(sizeQuotient(read("a+1"), read("a")));
  EXPECT_FALSE(sizeQuotient(read("3*a"), read("2*a")));
  EXPECT_FALSE(sizeQuotient(read("a"), 0));
}

TEST(SizeExpression, IsEvaluated) {
  EXPECT_EQ(read("2*a*b+past-1").evaluate(someValue), 72);
  EXPECT_EQ(read("(seq+past)//4").evaluate(someValue), 3);
  EXPECT_EQ(read("max(seq,12)+min(seq,4)").evaluate(someValue), 16);
  EXPECT_EQ(read("a+unknown").evaluate(someValue), std::nullopt);
  auto huge = [](std::string_view) { return std::optional<int64_t>(int64_t{1} << 62); };
  EXPECT_EQ(read("a+a").evaluate(huge), std::nullopt);
  EXPECT_EQ(read("a*b").evaluate(huge), std::nullopt);
}

TEST(SizeExpression, RangesHoldAllValues) {
  auto rangeOf = [](std::string_view name) {
    return name == "seq" ? SizeRange{1, 8} : SizeRange{0, 100};
  };
  EXPECT_EQ(read("past+seq").range(rangeOf), (SizeRange{1, 108}));
  EXPECT_EQ(read("past*seq-seq").range(rangeOf), (SizeRange{-8, 799}));
  EXPECT_EQ(read("(past+1)//2").range(rangeOf), (SizeRange{0, 50}));
  EXPECT_EQ(read("min(past,5)").range(rangeOf), (SizeRange{0, 5}));
  auto unknown = [](std::string_view) { return SizeRange(); };
  EXPECT_EQ(read("a*b+4").range(unknown), (SizeRange{4, SizeRange::unbounded}));
  EXPECT_EQ(read("7-a").range(unknown).most, 7);
  EXPECT_TRUE(read("a*b+4").isNonNegative());
  EXPECT_FALSE(read("a-1").isNonNegative());
}

TEST(SizeExpression, SymbolsCanBeReplacedAndFound) {
  SizeExpression size = read("2*seq+past+(seq+1)//2");
  EXPECT_EQ(size.symbols(), (std::vector<std::string>{"past", "seq"}));
  auto seqIs = [](std::string_view name) { return name == "seq" ? read("2*n") : MaybeSize(); };
  EXPECT_EQ(size.substitute(seqIs)->text(), "5*n+past");
  EXPECT_EQ(read("past+seq").solve("past", 17, someValue), 7);
  EXPECT_EQ(read("a*x+b").solve("x", 22, someValue), 3);
  EXPECT_EQ(read("a*x+b").solve("x", 23, someValue), std::nullopt);
  EXPECT_EQ(read("past+seq").solve("past", 5, someValue), std::nullopt);
  EXPECT_EQ(read("x*x").solve("x", 25, someValue), std::nullopt);
  EXPECT_EQ(read("x//2").solve("x", 2, someValue), std::nullopt);
}

TEST(SizeExpression, TextThatIsNoneIsRefused) {
  EXPECT_EQ(errorOf(""), "expected a name, a number or '(' at character 1");
  EXPECT_EQ(errorOf("a b"), "expected an operator at character 3");
  EXPECT_EQ(errorOf("a//0"), "expected a positive divisor before at character 5");
  EXPECT_EQ(errorOf("(a+1)//b"), "expected a divisor without remainder before at character 9");
  EXPECT_EQ(errorOf("(a"), "expected ')' at character 3");
  EXPECT_EQ(errorOf("99999999999999999999"), "expected a smaller number at character 19");
  EXPECT_EQ(errorOf("a/2"), "expected an operator at character 2");
  EXPECT_EQ(errorOf("a[0 of 2]"), "expected an operator at character 2");
  EXPECT_EQ(errorOf("max(a b)"), "expected ',' at character 7");
  EXPECT_EQ(errorOf(std::string(500, '(')), "it is nested too deep");
  EXPECT_EQ(errorOf(std::string(2000, 'a')), "it is longer than 960 bytes");
}

TEST(SizeExpression, GrowthIsBounded) {
  EXPECT_FALSE(SizeExpression::parse("a*a*a*a*a*a*a*a*a"));
  EXPECT_FALSE(
      SizeExpression::parse("(a+b+c+d)*(a+b+c+d)*(a+b+c+d)*(a+b+c+d)*(a+b+c+d)*(a+b+c+d)"));
  EXPECT_FALSE(SizeExpression::parse("9223372036854775807*a+a"));
  std::string nested = "a";
  for (int i = 2; i < 20; ++i)
    nested = "(max(" + nested + "," + std::to_string(i) + ")+a)//7";
  EXPECT_FALSE(SizeExpression::parse(nested));
  MaybeSize size = read("a+1");
  for (int i = 0; i < 100; ++i)
    size = sizeProduct(size, size);
  EXPECT_FALSE(size);
  EXPECT_FALSE(sizeSum(size, 1));
}

/// Draws expressions and evaluates them on the way.
class RandomSizes {
public:
  struct Drawn {
    MaybeSize size;
    int64_t value;
  };

  Drawn draw(int depth) {
    unsigned choice = depth == 0 ? next() % 2 : next() % 8;
    if (choice == 0) {
      int64_t number = int64_t{next() % 12} - 3;
      return {SizeExpression(number), number};
    }
    if (choice == 1) {
      const char *name = std::array{"a", "b", "past", "seq"}[next() % 4];
      return {SizeExpression::symbol(name), *someValue(name)};
    }
    Drawn x = draw(depth - 1), y = draw(depth - 1);
    int64_t by = next() % 6 + 1;
    auto floorOf = [&](int64_t value) { return (value - ((value % by) + by) % by) / by; };
    switch (choice) {
    case 2:
      return {sizeSum(x.size, y.size), x.value + y.value};
    case 3:
      return {sizeDifference(x.size, y.size), x.value - y.value};
    case 4:
      return {sizeProduct(x.size, y.size), x.value * y.value};
    case 5:
      return {sizeMax(x.size, y.size), std::max(x.value, y.value)};
    case 6:
      return {sizeMin(x.size, y.size), std::min(x.value, y.value)};
    default:
      return {sizeFloorDiv(x.size, by), floorOf(x.value)};
    }
  }

private:
  unsigned next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state >> 40);
  }
  uint64_t state = 1;
};

TEST(SizeExpression, RandomExpressionsKeepTheirValueAndTheirText) {
  RandomSizes random;
  int known = 0;
  for (int i = 0; i < 3000; ++i) {
    RandomSizes::Drawn drawn = random.draw(4);
    if (!drawn.size)
      continue;
    ++known;
    std::string text = drawn.size->text();
    ASSERT_EQ(drawn.size->evaluate(someValue), drawn.value) << text;
    MaybeSize again = SizeExpression::parse(text);
    ASSERT_TRUE(again) << text;
    ASSERT_EQ(again->text(), text);
    ASSERT_EQ(*again, *drawn.size);
    auto exactly = [](std::string_view name) {
      return SizeRange{*someValue(name), *someValue(name)};
    };
    ASSERT_EQ(drawn.size->range(exactly), (SizeRange{drawn.value, drawn.value})) << text;
  }
  EXPECT_GT(known, 2500);
}

} // namespace
} // namespace cleave
