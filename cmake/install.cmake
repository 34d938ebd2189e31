# What is installed, and where. The package files name the library by where they lie themselves, so that an
# installation can be moved; but a LIBDIR or INCLUDEDIR that is an absolute path stays where it is.
include(CMakePackageConfigHelpers)

set(libraries oclin_static)
if(oclin_shared)
    list(APPEND libraries oclin)
endif()
install(TARGETS ${libraries} EXPORT oclinTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(FILES include/oclin.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/oclin")

# for find_package
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/oclin")
install(EXPORT oclinTargets NAMESPACE oclin:: DESTINATION "${package_dir}")
configure_package_config_file(cmake/oclinConfig.cmake.in oclinConfig.cmake
    INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(oclinConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/oclinConfig.cmake" "${PROJECT_BINARY_DIR}/oclinConfigVersion.cmake"
    DESTINATION "${package_dir}")

# for pkg-config; what a shell takes apart is marked in paths that are written out
function(pc_escape variable path)
    string(REGEX REPLACE "([] '\"\\$&()*;<>?`|#[])" "\\\\\\1" path "${path}")
    set(${variable} "${path}" PARENT_SCOPE)
endfunction()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    pc_escape(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(dir LIBDIR INCLUDEDIR)
    string(TOLOWER pc_${dir} variable)
    pc_escape(path "${CMAKE_INSTALL_${dir}}")
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
        set(${variable} "${path}")
    else()
        set(${variable} "\${prefix}/${path}")
    endif()
endforeach()
set(pc_libs "-loclin")
set(pc_libs_private "-lm")
if(NOT oclin_shared) # then what the library needs is for every program
    get_target_property(name oclin_static OUTPUT_NAME)
    set(pc_libs "-l${name} -lm")
    set(pc_libs_private "")
endif()
configure_file(cmake/oclin.pc.in oclin.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/oclin.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
# pkg-config marks spaces in ${pcfiledir} itself, but no apostrophe: a prefix that has one is written out.
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    install(CODE "set(pc_file \"${CMAKE_INSTALL_LIBDIR}/pkgconfig/oclin.pc\")")
    install(CODE [[
        if(CMAKE_INSTALL_PREFIX MATCHES "'")
            set(pc_file "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${pc_file}")
            file(STRINGS "${pc_file}" line REGEX "^prefix=")
            file(READ "${pc_file}" text)
            string(REGEX REPLACE "([ '])" "\\\\\\1" place "${CMAKE_INSTALL_PREFIX}")
            string(REPLACE "${line}" "prefix=${place}" text "${text}")
            file(WRITE "${pc_file}" "${text}")
        endif()
    ]])
endif()
