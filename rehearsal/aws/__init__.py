"""The local AWS of the rehearsal: ministack, completed where the routes need more than it has."""
