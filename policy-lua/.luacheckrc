-- What a policy sees besides Lua's own safe functions.
std = {
    globals = { "tithe" },
    read_globals = {
        "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen",
        "rawset", "select", "setmetatable", "tonumber", "tostring", "type",
        string = { fields = { "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack",
            "packsize", "rep", "reverse", "sub", "unpack", "upper" } },
        table = { fields = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" } },
        math = { other_fields = true },
        utf8 = { other_fields = true },
    },
}
globals = {}
read_globals = { "tithe" }
max_line_length = 120
