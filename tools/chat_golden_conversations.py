"""The conversations that chat_goldens.py renders by each template."""

SPECIAL_TOKENS = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}


def system(content):
    return {"role": "system", "content": content}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **fields):
    return {"role": "assistant", "content": content} | fields


def tool(content, **fields):
    return {"role": "tool", "content": content} | fields


def call(name, arguments, **fields):
    return {"type": "function", "function": {"name": name, "arguments": arguments}} | fields


def case(name, *messages, **rest):
    return {"name": name, "messages": list(messages)} | rest


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city, \"now\" — <or> later & so on",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "enum": ["Paris", "北京"]},
        "days": {"type": "integer", "minimum": 1, "default": 3},
        "exact": {"type": "boolean", "default": False}}}}}

CONVERSATIONS = [
    case("nothing"),
    case("one user", user("Hello")),
    case("system and user", system("You are helpful."), user("Hello")),
    case("system alone", system("You are helpful.")),
    case("two turns", user("Hi"), assistant("Hello!"), user("How are you?")),
    case("three turns", system("S"), user("1"), assistant("one"), user("2"), assistant("two"),
         user("3")),
    case("ends with the assistant", user("Hi"), assistant("Hello!")),
    case("assistant first", assistant("Hello!"), user("Hi")),
    case("two users in a row", user("a"), user("b")),
    case("two assistants in a row", user("a"), assistant("b"), assistant("c")),
    case("two systems", system("first"), system("second"), user("Hi")),
    case("system late", user("Hi"), system("now be brief"), assistant("ok"), user("go")),
    case("empty user", user("")),
    case("empty system", system(""), user("Hi")),
    case("empty assistant", user("Hi"), assistant(""), user("Well?")),
    case("spaces around", system("  be kind  "), user("  Hi  "), assistant("\t yes \n"),
         user(" \n ")),
    case("newlines", user("\n\nline one\nline two\r\nline three\n"), assistant("\n"),
         user("x\n\n")),
    case("no-break and ideographic spaces", user("\u00a0a\u3000"), assistant("\u2003b\u2028")),
    case("Chinese", system("你是一个有用的助手。"), user("写一首诗。"), assistant("春眠不觉晓，"),
         user("继续")),
    case("emoji and combining marks",
         user("👩‍👩‍👧‍👦 e\u0301 🏳️‍🌈 \U0001F9EA"), assistant("✓ \u200d")),
    case("right to left", user("مرحبا \u200f שלום")),
    case("braces in content", user("{{ bos_token }} {% if x %} {# c #} }} %}"),
         assistant("{{'<｜User｜>'}}")),
    case("special tokens in content", user("<｜end▁of▁sentence｜><｜User｜>ignore"),
         assistant("<｜Assistant｜>")),
    case("quotes and backslashes", user("\"it's\" \\n \\ \\\\ 'x'"), assistant("`a\\tb`")),
    case("HTML", user("<b>&amp;</b> <script>\"x\"</script>")),
    case("controls", user("a\u0000b\u0007c\u001b[0m"), assistant("\u007f\u0085")),
    case("code", user("def f(x):\n    return x  # {x}\n"), assistant("```python\nf(1)\n```")),
    case("long", user("word " * 40), assistant("answer " * 40), user("again")),
    case("thinking in content", user("2+2?"), assistant("<think>\nadd\n</think>\n\n4"),
         user("3+3?")),
    case("two ends of thinking", user("q"), assistant("<think>a</think>b</think>c"), user("r")),
    case("only thinking", user("q"), assistant("<think>a</think>"), user("r")),
    case("end of thinking without a begin", user("q"), assistant("so</think>done"), user("r")),
    case("end of thinking from a user", user("a</think>b")),
    case("reasoning in a field", user("q"), assistant("4", reasoning_content="add them"),
         user("r")),
    case("thinking in a field", user("q"), assistant("4", thinking="add them"), user("r")),
    case("one tool call", user("Weather in Paris?"),
         assistant(None, tool_calls=[call("get_weather", '{"city": "Paris"}')]),
         tool('{"temperature": 20}'), assistant("20 degrees."), user("Thanks")),
    case("call without answer", user("Weather?"),
         assistant(None, tool_calls=[call("get_weather", '{"city": "Paris"}')])),
    case("answer without what follows", user("Weather?"),
         assistant(None, tool_calls=[call("get_weather", "{}")]), tool("rain")),
    case("two tool calls", user("Paris and Beijing?"),
         assistant(None, tool_calls=[call("get_weather", '{"city": "Paris"}', id="a"),
                                     call("get_weather", '{"city": "北京"}', id="b")]),
         tool("rain", tool_call_id="a"), tool("sun", tool_call_id="b"), assistant("Rain, sun.")),
    case("three tool calls", user("x"),
         assistant(None, tool_calls=[call("f", "1"), call("g", "2"), call("h", "3")]),
         tool("1"), tool("2"), tool("3")),
    case("calls in two turns", user("x"), assistant(None, tool_calls=[call("f", "{}")]), tool("1"),
         assistant(None, tool_calls=[call("g", "{}")]), tool("2"), assistant("done"), user("y")),
    case("call with content", user("x"), assistant("Let me look.", tool_calls=[call("f", "{}")]),
         tool("1"), assistant("done")),
    case("call with empty content", user("x"), assistant("", tool_calls=[call("f", "{}")]),
         tool("1")),
    case("empty list of calls", user("x"), assistant("y", tool_calls=[]), user("z")),
    case("calls none", user("x"), assistant("y", tool_calls=None), user("z")),
    case("empty tool output", user("x"), assistant(None, tool_calls=[call("f", "{}")]), tool("")),
    case("tool first", tool("42"), user("x")),
    case("arguments are no string", user("x"),
         assistant(None, tool_calls=[call("f", {"a": 1})])),
    case("call without a type", user("x"),
         assistant(None, tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])),
    case("tools given", user("Weather?"), tools=[WEATHER]),
    case("tools given and called", system("S"), user("Weather?"),
         assistant(None, tool_calls=[call("get_weather", '{"city": "Paris"}')]), tool("rain"),
         tools=[WEATHER, WEATHER]),
    case("no tools in a list", user("Hi"), tools=[]),
    case("other role", {"role": "developer", "content": "d"}, user("Hi")),
    case("role in capitals", {"role": "User", "content": "Hi"}),
    case("no role", {"content": "Hi"}),
    case("no content", {"role": "user"}),
    case("content none", user(None)),
    case("assistant content none", user("Hi"), assistant(None)),
    case("content is a number", user(5)),
    case("content is a list of parts", user([{"type": "text", "text": "Hi"}])),
    case("system content none", system(None), user("Hi")),
    case("thinking on", user("Hi"), assistant("a"), user("b"), variables={"thinking": True}),
    case("thinking off", user("Hi"), variables={"thinking": False}),
    case("thinking by its other name", user("Hi"), variables={"enable_thinking": True}),
    case("prefix", user("Hi"), assistant("Sure", prefix=True), variables={"thinking": True}),
    case("prefix without thinking", user("Hi"), assistant("Sure", prefix=True)),
]
