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

# for pkg-config
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(dir LIBDIR INCLUDEDIR)
    string(TOLOWER pc_${dir} variable)
    set(${variable} "${CMAKE_INSTALL_${dir}}")
    if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
        set(${variable} "\${prefix}/${CMAKE_INSTALL_${dir}}")
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
