# Turns a text file into a C array, so that the program needs no file beside it at run time.
# Call: cmake -DINPUT=F -DOUTPUT=F.h -DNAME=array -P embed.cmake
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "static const unsigned char ${NAME}[] = {\n${bytes}0};\n")
