/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nothing: ends at once. */
int main(void)
{
	return 0;
}
