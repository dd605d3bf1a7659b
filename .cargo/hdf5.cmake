# Settings of the HDF5 library that is built in, for what its crate has no features for. CMake reads this before the library's own
# files, as a tool chain file; it chooses no tools.

# Where to look for plug-ins: the default is a folder of this build, which another user of a later machine may own. None is ever
# loaded (src/files/library.rs), so none is looked for.
set(H5_DEFAULT_PLUGINDIR "/nonexistent" CACHE STRING "" FORCE)
