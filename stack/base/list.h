/* A doubly linked list whose links live in the members. The head is a link of its own; an unlinked
 * link points to itself, so removing twice is harmless. */
#ifndef LWNAT_BASE_LIST_H
#define LWNAT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The struct of 'type' that holds 'link' as its 'member'. */
#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *link)
{
	link->next = link->prev = link;
}

static inline bool list_is_empty(const struct list *head) /* or: link is on no list */
{
	return head->next == head;
}

static inline void list_remove(struct list *link)
{
	link->next->prev = link->prev;
	link->prev->next = link->next;
	list_init(link);
}

/* Takes 'link' from the list it is on, if any, and puts it last. */
static inline void list_append(struct list *head, struct list *link)
{
	list_remove(link);
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Moves all members of 'from' to the end of 'to'. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

#endif
