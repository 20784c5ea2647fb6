// A plan's YAML, read node by node with LLVM's parser rather than its object
// mapping: that keeps the mesh's order and every entry's place, and does not
// descend where nothing is expected, so that nesting without end is an error and
// not a stack overflow.
#include "compiler/plan/plan.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/YAMLParser.h"

#include <optional>

using namespace llvm;

namespace cleave::plan {

namespace {

class Reader {
public:
  explicit Reader(std::shared_ptr<const Source> source) : source(std::move(source)) {}

  Expected<Plan> read();

private:
  using OnItem = function_ref<Error(StringRef key, const Location &keyPlace, yaml::Node *value)>;

  Error readDocument(yaml::Node *root);
  Error readMesh(yaml::Node *node);
  Error readStages(yaml::Node *node);
  Error readCuts(yaml::Node *node);
  Error readSplits(yaml::Node *node);
  Error readSplit(yaml::Node *node);
  Error readShares(yaml::Node *node);
  Error readSequence(yaml::Node *node);

  /// Calls `onItem` for each key of a mapping, each of which may stand once.
  Error eachKey(yaml::Node *node, StringRef what, OnItem onItem);
  Error eachElement(yaml::Node *node, StringRef what, function_ref<Error(yaml::Node *)> onElement);
  Expected<std::string> readScalar(yaml::Node *node, const Twine &what);
  /// The words of a list, or the one word that stands for a list of one.
  Error eachWord(yaml::Node *node, const Twine &what,
                 function_ref<Error(const std::string &, const Location &)> onWord);
  /// What a node is, for a message.
  static StringRef kindOf(const yaml::Node *node);
  Error kindError(const yaml::Node *node, const Twine &expected);

  Location placeOf(const yaml::Node *node) const {
    return placeOf(node ? node->getSourceRange().Start : SMLoc());
  }
  Location placeOf(SMLoc place) const {
    const char *begin = source->text.data();
    if (!place.isValid() || place.getPointer() < begin)
      return Location(source, 0);
    return Location(source, place.getPointer() - begin);
  }

  std::shared_ptr<const Source> source;
  Plan plan;
  /// The first thing that the parser itself found.
  std::optional<PlanError> syntaxError;
};

StringRef Reader::kindOf(const yaml::Node *node) {
  if (!node || isa<yaml::NullNode>(node))
    return "nothing";
  if (isa<yaml::MappingNode>(node))
    return "a mapping";
  if (isa<yaml::SequenceNode>(node))
    return "a list";
  if (isa<yaml::AliasNode>(node))
    return "an alias (a pattern that begins with '*' needs quotes)";
  return "a value";
}

Error Reader::kindError(const yaml::Node *node, const Twine &expected) {
  return placeOf(node).error("found " + kindOf(node) + "; expected " + expected);
}

Expected<std::string> Reader::readScalar(yaml::Node *node, const Twine &what) {
  auto *scalar = dyn_cast_or_null<yaml::ScalarNode>(node);
  if (!scalar)
    return kindError(node, what);
  SmallString<64> storage;
  return scalar->getValue(storage).str();
}

Error Reader::eachKey(yaml::Node *node, StringRef what, OnItem onItem) {
  auto *mapping = dyn_cast_or_null<yaml::MappingNode>(node);
  if (!mapping)
    return kindError(node, what);
  StringSet<> seen;
  for (yaml::KeyValueNode &item : *mapping) {
    yaml::Node *keyNode = item.getKey();
    Expected<std::string> key = readScalar(keyNode, "a key");
    if (!key)
      return key.takeError();
    Location place = placeOf(keyNode);
    if (!seen.insert(*key).second)
      return place.error("'" + *key + "' stands here twice");
    if (Error e = onItem(*key, place, item.getValue()))
      return e;
  }
  return Error::success();
}

Error Reader::eachElement(yaml::Node *node, StringRef what,
                          function_ref<Error(yaml::Node *)> onElement) {
  auto *sequence = dyn_cast_or_null<yaml::SequenceNode>(node);
  if (!sequence)
    return kindError(node, what);
  for (yaml::Node &element : *sequence)
    if (Error e = onElement(&element))
      return e;
  return Error::success();
}

Error Reader::eachWord(yaml::Node *node, const Twine &what,
                       function_ref<Error(const std::string &, const Location &)> onWord) {
  auto onNode = [&](yaml::Node *word) -> Error {
    Expected<std::string> text = readScalar(word, what);
    return text ? onWord(*text, placeOf(word)) : text.takeError();
  };
  return isa_and_nonnull<yaml::SequenceNode>(node) ? eachElement(node, "a list", onNode)
                                                   : onNode(node);
}

Error Reader::readDocument(yaml::Node *root) {
  // A file of comments only is an empty plan.
  if (!root || isa<yaml::NullNode>(root))
    return Error::success();
  return eachKey(root, "a mapping with the keys mesh, stages, cut, split, shares, sequence",
                 [&](StringRef key, const Location &place, yaml::Node *value) -> Error {
                   if (key == "mesh")
                     return readMesh(value);
                   if (key == "stages")
                     return readStages(value);
                   if (key == "cut")
                     return readCuts(value);
                   if (key == "split")
                     return readSplits(value);
                   if (key == "shares")
                     return readShares(value);
                   if (key == "sequence")
                     return readSequence(value);
                   return place.error("unknown key '" + key +
                                      "'; expected mesh, stages, cut, split, shares or sequence");
                 });
}

Error Reader::readMesh(yaml::Node *node) {
  return eachKey(node, "a mapping of axes to sizes, as in {tp: 2}",
                 [&](StringRef key, const Location &place, yaml::Node *value) -> Error {
                   if (Error e = checkAxisName(key, place))
                     return e;
                   Expected<std::string> text = readScalar(value, "the axis's size, a number");
                   if (!text)
                     return text.takeError();
                   Expected<int64_t> size = parseCount(*text, "the size of axis '" + key + "'", 1,
                                                       maxAxisSize, placeOf(value));
                   if (!size)
                     return size.takeError();
                   return addAxis(plan, {key.str(), *size, place});
                 });
}

Error Reader::readStages(yaml::Node *node) {
  Expected<std::string> text = readScalar(node, "a number of stages");
  if (!text)
    return text.takeError();
  Location place = placeOf(node);
  Expected<int64_t> count = parseCount(*text, "the number of stages", 1, maxAxisSize, place);
  if (!count)
    return count.takeError();
  plan.stages = Stages{*count, place};
  return Error::success();
}

Error Reader::readCuts(yaml::Node *node) {
  return eachElement(node, "a list of names, as in [blk.11]", [&](yaml::Node *element) -> Error {
    Expected<std::string> name = readScalar(element, "the name of a block, op or tensor");
    if (!name)
      return name.takeError();
    return addCut(plan, {*name, placeOf(element)});
  });
}

Error Reader::readSplits(yaml::Node *node) {
  return eachElement(node, "a list of {weights: PATTERN, type: TYPE}",
                     [&](yaml::Node *element) { return readSplit(element); });
}

Error Reader::readSplit(yaml::Node *node) {
  std::optional<NamePattern> weights;
  SmallVector<SplitType> types;
  std::vector<std::pair<std::string, Location>> axes;
  Location place = placeOf(node), typePlace;
  bool hasType = false;
  auto onType = [&](const std::string &text, const Location &where) -> Error {
    Expected<SplitType> type = parseSplitType(text, where);
    if (!type)
      return type.takeError();
    types.push_back(*type);
    return Error::success();
  };
  auto onAxis = [&](const std::string &text, const Location &where) -> Error {
    axes.emplace_back(text, where);
    return checkAxisName(text, where);
  };
  Error error = eachKey(
      node, "{weights: PATTERN, type: TYPE}",
      [&](StringRef key, const Location &keyPlace, yaml::Node *value) -> Error {
        if (key == "type") {
          hasType = true;
          typePlace = placeOf(value);
          return eachWord(value, "a split type, or a list of them", onType);
        }
        if (key == "axis") {
          if (Error e = eachWord(value, "the name of an axis, or a list of them", onAxis))
            return e;
          return axes.empty() ? placeOf(value).error("found no axis; expected one or several")
                              : Error::success();
        }
        if (key != "weights")
          return keyPlace.error("unknown key '" + key + "'; expected weights, type or axis");
        Expected<std::string> text = readScalar(value, "the value of 'weights', a text");
        if (!text)
          return text.takeError();
        place = placeOf(value);
        Expected<NamePattern> pattern = parsePattern(*text, place);
        if (!pattern)
          return pattern.takeError();
        weights = std::move(*pattern);
        return Error::success();
      });
  if (error)
    return error;
  if (!weights || !hasType)
    return place.error(weights ? "this entry has no 'type'" : "this entry has no 'weights'");
  auto parts = makeSplitParts(types, axes, typePlace);
  if (!parts)
    return parts.takeError();
  plan.splits.push_back({std::move(*weights), std::move(*parts), place});
  return Error::success();
}

Error Reader::readShares(yaml::Node *node) {
  return eachKey(node, "a mapping of axes to lists of shares, as in {tp: [2, 1]}",
                 [&](StringRef key, const Location &place, yaml::Node *value) -> Error {
                   Shares shares{key.str(), {}, place};
                   if (Error e = checkAxisName(key, place))
                     return e;
                   Error error = eachElement(
                       value, "a list of shares, as in [2, 1]", [&](yaml::Node *element) -> Error {
                         Expected<std::string> text = readScalar(element, "a share, a number");
                         if (!text)
                           return text.takeError();
                         Expected<int64_t> part =
                             parseCount(*text, "a share", 1, maxShare, placeOf(element));
                         if (!part)
                           return part.takeError();
                         shares.parts.push_back(*part);
                         return Error::success();
                       });
                   if (error)
                     return error;
                   return addShares(plan, std::move(shares));
                 });
}

Error Reader::readSequence(yaml::Node *node) {
  Expected<std::string> axis = readScalar(node, "an axis of the mesh, as in tp");
  if (!axis)
    return axis.takeError();
  plan.sequence = Sequence{*axis, placeOf(node)};
  return checkAxisName(*axis, plan.sequence->location);
}

Expected<Plan> Reader::read() {
  if (StringRef(source->text).trim().empty())
    return plan;
  SourceMgr manager;
  manager.setDiagHandler(
      [](const SMDiagnostic &diagnostic, void *context) {
        auto &reader = *static_cast<Reader *>(context);
        if (!reader.syntaxError)
          reader.syntaxError.emplace(reader.placeOf(diagnostic.getLoc()),
                                     diagnostic.getMessage().str());
      },
      this);
  yaml::Stream stream(MemoryBufferRef(source->text, source->name), manager);
  yaml::document_iterator document = stream.begin();
  Error error = document == stream.end() ? Error::success() : readDocument(document->getRoot());
  if (!error && !syntaxError && document != stream.end() && ++document != stream.end())
    error = Location(source, 0).error("more than one YAML document; expected one plan");
  // After a syntax error the parser gives nodes that nobody wrote; what was made of
  // them does not matter.
  if (syntaxError) {
    consumeError(std::move(error));
    return syntaxError->location().error("not YAML: " + syntaxError->text());
  }
  if (error)
    return error;
  return std::move(plan);
}

} // namespace

Expected<Plan> parsePlan(std::shared_ptr<const Source> source) {
  return Reader(std::move(source)).read();
}

} // namespace cleave::plan
