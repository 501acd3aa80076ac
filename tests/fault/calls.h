/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every way in which isolate/ enters the kernel: the functions of libc that it calls for that,
 * and what each plausibly fails with. The linker leads them to fault.c (--wrap); calls.py holds
 * that there are no others in the objects of isolate/.
 *
 *   FAILS   returns -1 with this errno, and nothing has happened
 *   NULLS   returns NULL
 *   DONE    happens, and says -1 all the same: the kernel does so
 *   SURE    never fails as we call it, so it does not here: on objects of ours that are sound,
 *           with arguments that are constant, or on children that are there to be waited for
 */
#ifndef TESTS_FAULT_CALLS_H
#define TESTS_FAULT_CALLS_H

#define FAULT_CALLS(X)                                                                         \
	X(access, FAILS, ENOMEM)                                                               \
	X(bind, FAILS, ENOSPC)                                                                 \
	X(chdir, FAILS, ENOMEM)                                                                \
	X(chmod, FAILS, EROFS)                                                                 \
	X(chown, FAILS, EROFS)                                                                 \
	X(chroot, FAILS, ENOMEM)                                                               \
	X(clone, FAILS, EAGAIN)                                                                \
	X(close, DONE, EIO)                                                                    \
	X(close_range, FAILS, ENOMEM)                                                          \
	X(closedir, DONE, EIO)                                                                 \
	X(connect, FAILS, ECONNREFUSED)                                                        \
	X(dup2, FAILS, EBUSY)                                                                  \
	X(dup3, FAILS, EBUSY)                                                                  \
	X(epoll_create1, FAILS, EMFILE)                                                        \
	X(epoll_ctl, FAILS, ENOMEM)                                                            \
	X(epoll_wait, FAILS, EINTR)                                                            \
	X(execv, FAILS, ENOMEM)                                                                \
	X(execve, FAILS, ENOMEM)                                                               \
	X(faccessat, FAILS, ENOMEM)                                                            \
	X(fallocate64, FAILS, ENOSPC)                                                          \
	X(fchdir, FAILS, ENOMEM)                                                               \
	X(fchmod, FAILS, EROFS)                                                                \
	X(fchmodat, FAILS, EROFS)                                                              \
	X(fchownat, FAILS, EROFS)                                                              \
	X(fcntl64, FAILS, ENOMEM)                                                              \
	X(fdatasync, FAILS, EIO)                                                               \
	X(fdopendir, NULLS, ENOMEM)                                                            \
	X(fgetxattr, FAILS, ENOMEM)                                                            \
	X(fork, FAILS, EAGAIN)                                                                 \
	X(fremovexattr, FAILS, ENOSPC)                                                         \
	X(fsconfig, FAILS, ENOMEM)                                                             \
	X(fsmount, FAILS, ENOMEM)                                                              \
	X(fsopen, FAILS, ENOMEM)                                                               \
	X(fsetxattr, FAILS, ENOSPC)                                                            \
	X(fstat64, FAILS, EIO)                                                                 \
	X(fstatat64, FAILS, ENOMEM)                                                            \
	X(fstatfs64, FAILS, EIO)                                                               \
	X(fsync, FAILS, EIO)                                                                   \
	X(futimens, FAILS, EROFS)                                                              \
	X(ioctl, FAILS, EIO)                                                                   \
	X(isatty, SURE, 0)                                                                     \
	X(kill, FAILS, ESRCH)                                                                  \
	X(linkat, FAILS, ENOSPC)                                                               \
	X(listen, FAILS, EADDRINUSE)                                                           \
	X(lstat64, FAILS, ENOMEM)                                                              \
	X(memfd_create, FAILS, EMFILE)                                                         \
	X(mkdir, FAILS, ENOSPC)                                                                \
	X(mkdirat, FAILS, ENOSPC)                                                              \
	X(mknodat, FAILS, ENOSPC)                                                              \
	X(mmap64, FAILS, ENOMEM)                                                               \
	X(mount, FAILS, ENOMEM)                                                                \
	X(mount_setattr, FAILS, ENOMEM)                                                        \
	X(move_mount, FAILS, ENOMEM)                                                           \
	X(mprotect, FAILS, ENOMEM)                                                             \
	X(munmap, DONE, ENOMEM)                                                                \
	X(nanosleep, FAILS, EINTR)                                                             \
	X(open64, FAILS, EMFILE)                                                               \
	X(open_tree, FAILS, ENOMEM)                                                            \
	X(openat64, FAILS, EMFILE)                                                             \
	X(pipe2, FAILS, EMFILE)                                                                \
	X(poll, FAILS, EINTR)                                                                  \
	X(prctl, FAILS, ENOMEM)                                                                \
	X(pread64, FAILS, EIO)                                                                 \
	X(prlimit64, FAILS, EPERM)                                                             \
	X(pwrite64, FAILS, ENOSPC)                                                             \
	X(pwritev64, FAILS, ENOSPC)                                                            \
	X(read, FAILS, EIO)                                                                    \
	X(readdir64, NULLS, EIO)                                                               \
	X(readlink, FAILS, ENOMEM)                                                             \
	X(readlinkat, FAILS, ENOMEM)                                                           \
	X(recv, FAILS, ENOMEM)                                                                 \
	X(recvmsg, FAILS, ENOMEM)                                                              \
	X(rename, FAILS, ENOSPC)                                                               \
	X(renameat, FAILS, ENOSPC)                                                             \
	X(renameat2, FAILS, ENOSPC)                                                            \
	X(rmdir, FAILS, EBUSY)                                                                 \
	X(sched_getaffinity, FAILS, EINVAL)                                                    \
	X(sched_setaffinity, FAILS, EINVAL)                                                    \
	X(send, FAILS, ENOBUFS)                                                                \
	X(sendmsg, FAILS, ENOBUFS)                                                             \
	X(sendto, FAILS, ENOBUFS)                                                              \
	X(setgroups, FAILS, ENOMEM)                                                            \
	X(sethostname, FAILS, EPERM)                                                           \
	X(setns, FAILS, ENOMEM)                                                                \
	X(setpriority, FAILS, EACCES)                                                          \
	X(setresgid, FAILS, EAGAIN)                                                            \
	X(setresuid, FAILS, EAGAIN)                                                            \
	X(setsockopt, FAILS, ENOMEM)                                                           \
	X(signalfd, FAILS, EMFILE)                                                             \
	X(socket, FAILS, EMFILE)                                                               \
	X(socketpair, FAILS, EMFILE)                                                           \
	X(statfs64, FAILS, EIO)                                                                \
	X(symlinkat, FAILS, ENOSPC)                                                            \
	X(sysinfo, SURE, 0)                                                                    \
	X(syscall, FAILS, ENOMEM)                                                              \
	X(tcgetattr, FAILS, EIO)                                                               \
	X(tcsetattr, FAILS, EIO)                                                               \
	X(timerfd_create, FAILS, EMFILE)                                                       \
	X(umount2, FAILS, EBUSY)                                                               \
	X(unlink, FAILS, EROFS)                                                                \
	X(unlinkat, FAILS, EBUSY)                                                              \
	X(unshare, FAILS, ENOSPC)                                                              \
	X(write, FAILS, ENOSPC)                                                                \
	X(_exit, SURE, 0)                                                                      \
	X(clock_gettime, SURE, 0)                                                              \
	X(getpid, SURE, 0)                                                                     \
	X(getppid, SURE, 0)                                                                    \
	X(sched_getcpu, SURE, 0)                                                               \
	X(sched_yield, SURE, 0)                                                                \
	X(setsid, SURE, 0)                                                                     \
	X(sigprocmask, SURE, 0)                                                                \
	X(timerfd_settime, SURE, 0)                                                            \
	X(umask, SURE, 0)                                                                      \
	X(waitid, SURE, 0)                                                                     \
	X(waitpid, SURE, 0)

#endif
