/* Keeps a library with no other source of its own buildable. */
typedef int wr_empty;
