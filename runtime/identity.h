/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUNTIME_IDENTITY_H
#define RUNTIME_IDENTITY_H

#include <base/id.h>

/* A fresh random UUID (version 4). The one adapter to libuuid. */
struct id identity_new(void);

#endif
