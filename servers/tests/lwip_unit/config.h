/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's lwip_check.h wants a config.h; there is nothing to configure. */
