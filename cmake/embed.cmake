# cmake -D INPUT=file.cl -D OUTPUT=file.c -D SYMBOL=name -P embed.cmake
# Writes the bytes of a kernel text as a C array that ends in 0. No length limit of string literals, nothing
# to escape.
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REPEAT "0x..," 16 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "extern const char ${SYMBOL}[];\nconst char ${SYMBOL}[] = {\n${bytes}0x00};\n")
