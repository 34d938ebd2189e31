int wrapper(void);

int main(void)
{
    return !wrapper();
}
